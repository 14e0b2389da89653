"""Files whose bytes are all ASCII, and spell other letters: ISO-2022, HZ, UTF-7."""

import json
from pathlib import Path

import pytest
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.validation import Reject
from patlm.stores.types import Text

JAPANESE = "このランプはとても良いです。明るい！"
WORDS = {
    "iso2022_jp": [JAPANESE, "１番におすすめ、カフェで"],
    "iso2022_jp_2004": [JAPANESE, "俱利伽羅の①"],
    "iso2022_jp_ext": [JAPANESE, "ｱｲｳ 半角です"],
    "iso2022_kr": ["아주 좋은 램프입니다.", "밝고 깜박이지 않습니다."],
    "hz": ["这个灯非常好，光线明亮。", "质量很好~不闪烁"],
    "utf-7": [JAPANESE, "Très bien, le café à Orléans 1+1=2 ~ ok", "Лампа светит ярко + тихо"],
}


def read(path: Path, encoding: str | None = None) -> tuple[list[Text], list[Reject], str]:
    rows = read_texts(path, encoding=encoding)
    found = list(rows)
    texts = [row for row in found if isinstance(row, Text)]
    return texts, [row for row in found if isinstance(row, Reject)], " ".join(rows.notes)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("encoding", "words"), [(name, each) for name, words in WORDS.items() for each in words]
)
def test_letters_spelled_in_ascii_are_read(
    tmp_path: Path, encoding: str, words: str, kind: str
) -> None:
    said = [f"{words} {number}" for number in range(4)]
    if kind == "csv":
        content = "user,text\n" + "".join(f'u{at},"{each}"\n' for at, each in enumerate(said))
    else:
        rows = [{"user": f"u{at}", "text": each} for at, each in enumerate(said)]
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content.encode(encoding))
    texts, rejects, notes = read(path)
    assert ([text.body for text in texts], rejects) == (said, [])
    name = encoding if encoding in ("hz", "utf-7", "iso2022_kr") else "iso2022_jp"
    assert f"read as {name}" in notes and "--encoding" in notes


@pytest.mark.parametrize(
    "words",
    ["A \x1b[31mred\x1b(B\x1b[m word", "C++ and a+b, 5+ stars +1", "q=lamp+hook&x=Tom+Anabel12"]
    + ["~{never~} and ~/home ~{", "dial +15551234567 or +49 30 1234", "+0000 +00:00 1+1"]
    + ["\x1b(B plain \x1b)0", "love+affection+devotion+passions", "abc+def/ghi+jkl/mno="],
)
def test_ascii_stays_as_it_is(tmp_path: Path, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f'user,text\nu1,"{words}"\nu2,"Fine. {words}"\n'.encode())
    texts, rejects, notes = read(path)
    assert ([text.body for text in texts], rejects) == ([words, f"Fine. {words}"], [])
    assert "read as" not in notes


def test_a_mark_of_utf_7_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"+/v8-user,text\nu1,caf+AOk-\n")
    texts, _, notes = read(path)
    assert [text.body for text in texts] == ["café"] and "byte order mark" in notes


@pytest.mark.parametrize(
    ("encoding", "damage"), [("iso2022_jp", b"\x1b$B\x21\x07\x1b(B"), ("utf-7", b"+A-")]
)
def test_a_damaged_code_costs_its_row(tmp_path: Path, encoding: str, damage: bytes) -> None:
    lines = [f"u{at},{JAPANESE}{at}\n".encode(encoding) for at in range(4)]
    lines[1] = b"u1," + damage + b" lamp\n"
    path = tmp_path / "a.csv"
    path.write_bytes(b"user,text\n" + b"".join(lines))
    texts, rejects, _ = read(path, encoding)
    assert [text.user_id for text in texts] == ["u0", "u2", "u3"]
    assert [(reject.line, reject.code) for reject in rejects] == [(3, "text_encoding")]
