"""Every format is told by its content, every bad row is rejected alone, and says where and why."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.readers.columns import parse_map
from patlm.stores.datasets.validation import FormatError, Reject, is_display_name
from patlm.stores.types import Text
from raising import raises

GOOD = {"user_id": "u1", "topic_id": "t1", "title": "Fine", "text": "It works.", "rating": 4}


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_lines(path: Path, *rows: object) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def read(path: Path, **options: Any) -> tuple[list[Text], list[Reject]]:
    rows = list(read_texts(path, **options))
    texts = [row for row in rows if isinstance(row, Text)]
    return texts, [row for row in rows if isinstance(row, Reject)]


@pytest.mark.parametrize(
    "user_id",
    ["John", "Anonymous", "Dave", "dave", "PAM", "Angela H", "Kristy H.", "frank h", "D", "José"],
)
def test_names_that_several_people_bear(user_id: str) -> None:
    assert is_display_name(user_id)


@pytest.mark.parametrize(
    "user_id",
    # "BestBuyFan": inner capitals, somebody made it up; a hash may hold letters alone.
    ["Natalie1021", "1234", "BestBuyFan", "Coco_Gangemi", "Tamara Anderson", "Go Blue!", ""]
    + ["AHPBYEA63ODBSVQRTUOB4DAWLKEA", "abcdefabcdefabcdefabcdefabcdefabcdefabcd"],
)
def test_handles_and_account_ids(user_id: str) -> None:
    assert not is_display_name(user_id)


def test_json_lines_keep_white_space_and_order(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.jsonl",
        {**GOOD, "text": "  Two.  Spaces.\n", "timestamp": 1_700_000_000},
        {"author": "John", "body": "Short.", "product": 7, "time": "2024-05-01", "language": "de"},
    )
    (first, second), rejects = read(path, namespace="shop")
    assert not rejects
    assert first.body == "  Two.  Spaces.\n"
    assert (first.rating, first.timestamp, first.namespace) == (4.0, 1_700_000_000_000, "shop")
    assert (first.language, first.shared_id, first.target) == ("en", False, False)
    # 2024-05-01 is 19,844 days after 1970-01-01: 19,844 * 86,400,000 ms.
    assert (second.topic_id, second.timestamp) == ("7", 1_714_521_600_000)
    assert (second.language, second.shared_id, second.position) == ("de", True, 1)


def test_bad_json_lines_are_rejected_alone(tmp_path: Path) -> None:
    bad: list[tuple[bytes, str]] = [
        (b'{"user_id": "u", "text": ', "broken JSON"),
        (b'{"user_id": "u", "text": "caf\xe9"}', "not valid UTF-8"),
        (b'{"text": "who?"}', "no user"),
        (b'{"user_id": "u", "text": " \\n"}', "no text"),
        (b'{"user_id": "u", "text": 5}', "text is a number, not a string"),
        (b'{"user_id": ["u"], "text": "a"}', "user is a list, not a string"),
        (b'{"user_id": "u", "text": "a", "language": "english"}', "language 'english' is no tag"),
        (b'{"user_id": "u", "text": "a", "rating": 7}', "rating 7 is outside 1 to 5"),
        (b'{"user_id": "u", "text": "a", "rating": Infinity}', "rating inf is outside 1 to 5"),
        (b'{"user_id": 1e20, "text": "a"}', "user '1e+20' is a number whose last digits"),
        (b'{"user_id": "u", "text": "a", "shared_id": "maybe"}', "shared_id 'maybe' is not true"),
        (b'{"user_id": "u", "text": "' + b"a" * 100_001 + b'"}', "100,001 characters"),
        (b'{"user_id": "u", "text": "' + b"a" * 4_000_001 + b'"}', "more than 4,000,000 bytes"),
        (b"[1, 2]", "expected a JSON object"),
        (b"[" * 100_000, "broken JSON"),
    ]
    good = json.dumps(GOOD).encode()
    # An accent in UTF-8, so that a bad byte is a fault and not another encoding.
    lines = [good, b"", *(line for line, _ in bad), good.replace(b"works", "lasts, já".encode())]
    texts, rejects = read(write(tmp_path / "a.jsonl", b"\n".join(lines)), format="jsonl")
    assert [text.body for text in texts] == ["It works.", "It lasts, já."]
    assert [reject.line for reject in rejects] == list(range(3, 3 + len(bad)))
    for reject, (_, reason) in zip(rejects, bad, strict=True):
        assert reason in reject.reason


def test_a_reject_never_holds_the_text(tmp_path: Path) -> None:
    """It goes to a file that `forget` does not know."""
    secret = "my own words, which are nobody's business"
    path = write_lines(
        tmp_path / "a.jsonl", GOOD, {"user_id": "u", "text": "a", "shared_id": secret}
    )
    _, (reject,) = read(path)
    assert secret[:20] not in json.dumps(reject.as_dict())
    assert reject.as_dict() == {
        "line": 2,
        "reason": "shared_id 'my own words,...' is not true or false",
        "code": "shared_id_type",
    }


def test_what_a_text_can_do_without_is_left_out_and_counted(tmp_path: Path) -> None:
    lines = (
        {"rating": "good"},
        {"time": "soon"},
        {"time": 1e300},
        {"time": "05/01/2024"},
        {"target": "maybe"},
        {"target": 1},
        {"rating": 0},
    )
    path = write_lines(tmp_path / "a.jsonl", *({**GOOD, "rating": None, **row} for row in lines))
    rows = read_texts(path)
    texts = list(rows)
    assert all(isinstance(text, Text) and not text.target for text in texts)
    assert rows.noted == {
        "rating_unreadable": 1,
        "rating_zero": 1,
        "timestamp_unreadable": 3,
        "target_unreadable": 2,
    }
    assert len(list(rows)) == 7 and rows.noted["timestamp_unreadable"] == 3, "counted anew"


def test_csv_with_any_usual_delimiter_and_a_byte_order_mark(tmp_path: Path) -> None:
    for delimiter in ",;\t":
        lines = [
            ["User_ID", "text", "topic", "rating", "target"],
            ["u1", '"Two\nlines, and ""quotes"""', "t", "4", "true"],
            ["u2", "Plain", "", "", ""],
        ]
        content = "\r\n".join(delimiter.join(line) for line in lines)
        path = write(tmp_path / "a.csv", b"\xef\xbb\xbf" + content.encode())
        assert read_texts(path).format == "csv"
        (first, second), rejects = read(path)
        assert not rejects
        assert first.body == 'Two\nlines, and "quotes"'
        assert (first.rating, first.target, second.rating, second.target) == (
            4.0,
            True,
            None,
            False,
        )


def test_bad_csv_rows_are_rejected_alone(tmp_path: Path) -> None:
    content = (
        b"user,text,rating\n"  # 1
        b"u1,good,5\n"  # 2
        b"u1,one column,too,many\n"  # 3
        b'u1,"two\nlines",7\n'  # 4 and 5
        b"u1,caf\xe9,5\n"  # 6
        b'u1,"quo"ted,5\n'  # 7
        b"u1," + b"a" * 140_000 + b",5\n"  # 8
        b"\n"  # 9
        b"u2,f\xc3\xadne,1\n"  # 10: UTF-8, so that line 6 is a fault and not another encoding
    )
    texts, rejects = read(write(tmp_path / "a.csv", content))
    assert [text.body for text in texts] == ["good", "fíne"]
    assert [(reject.line, reject.reason.split(":")[0]) for reject in rejects] == [
        (3, "the row has 4 columns, the header 3"),
        (4, "rating 7 is outside 1 to 5"),
        (6, "text is not valid UTF-8"),
        (7, "broken CSV"),
        (8, "text has 140,000 characters, more than 100,000"),
    ]


PEOPLE = [
    {
        "id": "Anonymous",
        "profile": [
            {"rating": 5, "title": "A", "text": "The target.", "pid": 17},
            {"rating": 2, "title": "B", "text": "The history.", "pid": "p2"},
        ],
    },
    {"id": "Natalie1021", "profile": [{"rating": 1, "title": "", "text": "Alone.", "pid": "p2"}]},
]


def test_pgraphrag_marks_the_first_text_as_target(tmp_path: Path) -> None:
    path = write(tmp_path / "gap.json", json.dumps(PEOPLE, indent=4))
    assert read_texts(path).format == "pgraphrag"
    texts, rejects = read(path)
    assert not rejects
    assert [(t.user_id, t.topic_id, t.target, t.shared_id) for t in texts] == [
        ("Anonymous", "17", True, True),
        ("Anonymous", "p2", False, True),
        ("Natalie1021", "p2", True, False),
    ]
    assert [text.position for text in texts] == sorted({text.position for text in texts})


def test_pgraphrag_loses_a_bad_entry_alone(tmp_path: Path) -> None:
    people = json.loads(json.dumps(PEOPLE))
    people[0]["profile"][0]["text"] = ""  # the target: the person has none, the rest stays history
    people.insert(1, {"id": "u", "profile": "none"})
    people.insert(2, {"id": "u", "profile": []})
    people.insert(3, "nobody")
    people.append({"id": None, "profile": [{"text": "Whose?"}, "no entry"]})
    path = write(tmp_path / "gap.json", json.dumps(people, indent=4))
    texts, rejects = read(path)
    assert [(text.body, text.target) for text in texts] == [
        ("The history.", False),
        ("Alone.", True),
    ]
    assert [(reject.place, reject.reason) for reject in rejects] == [
        (".[0].profile[0]", "no text"),
        (".[1]", "profile is not a list"),
        (".[2]", "target: the profile is empty"),
        (".[3]", "expected a JSON object"),
        (".[5].profile[0]", "no user"),
        (".[5].profile[1]", "expected a JSON object"),
    ]
    lines = path.read_text().split("\n")
    assert [lines[reject.line - 1].strip()[:1] for reject in rejects] == ["{"] * 3 + ['"', "{", "{"]


def test_a_list_that_breaks_off_keeps_what_stands_before(tmp_path: Path) -> None:
    whole = json.dumps(PEOPLE, indent=4)
    for end in (len(whole) - 3, len(whole) - 40):
        texts, rejects = read(write(tmp_path / "gap.json", whole[:end]))
        assert "The target." in [text.body for text in texts]
        assert [reject.place for reject in rejects] == [".[1]"]
    texts, rejects = read(write(tmp_path / "gap.json", whole.replace("Alone.", "Al\xe9one.")))
    assert len(texts) == 3
    broken = (
        whole.encode().replace(b"Alone.", b"Al\xe9one.").replace(b"history", "hístory".encode())
    )
    texts, (reject,) = read(write(tmp_path / "gap.json", broken))
    assert (len(texts), reject.reason) == (2, "text is not valid UTF-8")


def test_b2w_is_portuguese_unless_told_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "b2w_dev.json", json.dumps(PEOPLE))
    assert read_texts(path).language == "pt"
    assert {text.language for text in read(path)[0]} == {"pt"}
    assert read_texts(path, language="es").language == "es"
    # The name alone says nothing about our own formats.
    assert read_texts(write_lines(tmp_path / "b2w.jsonl", GOOD)).language == "en"


def test_amazon_takes_the_parent_product(tmp_path: Path) -> None:
    row = {
        "user_id": "AHPBYEA63ODBSVQRTUOB4DAWLKEA",
        "parent_asin": "B01",
        "asin": "B02",
        "title": "good",
        "text": "Does it.",
        "rating": 5.0,
        "timestamp": 1_393_545_600_000,
    }
    path = write_lines(tmp_path / "a.jsonl", row, {**row, "parent_asin": None})
    assert read_texts(path).format == "amazon"
    (first, second), _ = read(path)
    assert (first.topic_id, second.topic_id) == ("B01", "B02")
    assert (first.timestamp, first.shared_id, first.target) == (1_393_545_600_000, False, False)
    assert read(path, format="jsonl")[0][0].topic_id == "B01"


LAMP_PROFILES: list[tuple[dict[str, Any], tuple[str, str, float | None]]] = [
    ({"title": "T", "abstract": "A"}, ("T", "A", None)),  # tasks 1 and 5
    ({"description": "D", "tag": "sci-fi"}, ("sci-fi", "D", None)),  # 2
    ({"text": "X", "score": "3"}, ("", "X", 3.0)),  # 3
    ({"title": "T", "text": "X"}, ("T", "X", None)),  # 4
    ({"text": "X"}, ("", "X", None)),  # 6 and 7
]


@pytest.mark.parametrize(("entry", "expected"), LAMP_PROFILES)
def test_lamp_profiles_are_history_and_outputs_targets(
    tmp_path: Path, entry: dict[str, Any], expected: tuple[str, str, float | None]
) -> None:
    items = [{"id": name, "input": f"Write {name}", "profile": [entry]} for name in ("10", "11")]
    path = write(tmp_path / "dev_questions.json", json.dumps(items))
    texts, _ = read(path)
    assert [text.target for text in texts] == [False, False]  # no outputs, no targets
    golds = [{"id": 10, "output": "Written."}]
    write(tmp_path / "dev_outputs.json", json.dumps({"task": "LaMP_4", "golds": golds}))
    assert read_texts(path).format == "lamp"
    (own, target, other), (reject,) = read(path)
    assert (own.title, own.body, own.rating) == expected
    assert (own.user_id, own.target, other.user_id) == ("10", False, "11")
    assert (target.user_id, target.title, target.body) == ("10", "Write 10", "Written.")
    assert target.target
    assert (reject.place, reject.reason) == (
        ".[1]",
        "target: the outputs file has no output for this id",
    )


def test_broken_lamp_outputs_are_an_error_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "dev_questions.json", json.dumps([{"id": "1", "input": "I", "profile": []}])
    )
    write(tmp_path / "dev_outputs.json", "{}")
    with raises(FormatError, "damaged_file", "dev_outputs.json"):
        read_texts(path)


@pytest.mark.parametrize("listed", [True, False])
def test_longlamp_in_a_list_or_in_lines(tmp_path: Path, listed: bool) -> None:
    review = {"reviewText": "Loved it.", "summary": "Yes", "overall": 5.0, "description": "A pan"}
    items = [
        {"input": "Write", "output": "Long text.", "profile": [review], "reviewerId": "A1B2"},
        {"input": "Write", "output": None, "profile": [{"title": "T", "abstract": "A"}]},
    ]
    path = tmp_path / "longlamp.json"
    path = write(path, json.dumps(items)) if listed else write_lines(path, *items)
    assert read_texts(path).format == "longlamp"
    (own, target, unnamed), (reject,) = read(path)
    assert (own.user_id, own.title, own.body, own.rating) == ("A1B2", "Yes", "Loved it.", 5.0)
    assert (target.user_id, target.title, target.body) == ("A1B2", "Write", "Long text.")
    assert unnamed.user_id.startswith("row-1-")  # and the hash of the file
    assert (unnamed.body, unnamed.target) == ("A", False)
    assert reject.reason == "target: no text"


@pytest.mark.parametrize(
    ("name", "content", "format", "code", "named"),
    [
        ("a.jsonl", "", "auto", "empty_file", "a.jsonl"),
        ("a.json", "[]", "auto", "empty_file", "a.json"),
        ("a.txt", "Dear all,\nhello", "auto", "unknown_format", "a.txt"),
        ("a.txt", "Dear all,\nhello", "csv", "other_format", "csv"),
        ("a.json", json.dumps(PEOPLE), "jsonl", "other_format", "pgraphrag"),
        ("a.jsonl", json.dumps(GOOD), "amazon", "other_format", "jsonl"),
        ("a.json", json.dumps([{"who": "ana"}]), "auto", "unknown_format", "who"),
        ("a.jsonl.gz", b"\x1f\x8b\x08", "auto", "damaged_file", "gzip"),
        ("a.jsonl", json.dumps(GOOD), "xml", "no_such_format", "auto, jsonl"),
        ("a.parquet", b"PAR1\x00\xff", "auto", "damaged_file", "a.parquet"),
    ],
)
def test_a_wrong_file_is_one_clear_error(
    tmp_path: Path, name: str, content: str | bytes, format: str, code: str, named: str
) -> None:
    path = write(tmp_path / name, content)
    with raises(FormatError, code, named) as raised:
        read_texts(path, format=format)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("column", "row"),
    [
        ("Text", {"text": "label", "Text": "The review."}),
        ("Text", {"Text": "The review.", "text": "label"}),
        ("TEXT", {"Text": "The review.", "other": "label"}),
        (
            "Post.Text",
            {"post": {"Text": "label"}, "Post": {"text": "label", "Text": "The review."}},
        ),
    ],
)
def test_a_column_of_the_very_name_comes_first(
    tmp_path: Path, column: str, row: dict[str, object]
) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"user": "ana", **row})
    (text,), _ = read(path, columns={"user_id": "user", "body": column})
    assert text.body == "The review."


DAYS_FIRST = [f"{day:02}.06.2024" for day in range(1, 31)]
MONTHS_FIRST = [f"06/{day:02}/2024 5:01 PM" for day in range(1, 31)]


@pytest.mark.parametrize(
    ("times", "read"),
    [
        (DAYS_FIRST, 30),
        (MONTHS_FIRST, 30),
        (DAYS_FIRST[:12], 0),  # no row shows the order
        (["02.06.2024"] * 1_100 + ["13.06.2024"], 1_101),  # it is shown late
        ([*DAYS_FIRST, *MONTHS_FIRST], 0),  # in both orders
        ([*DAYS_FIRST[12:] * 60, "06/13/2024"], 1_080),  # another order in one late row
        (["2024-06-02"] * 1_000 + DAYS_FIRST, 1_000),  # there were none in the first rows
        (["2024-06-02", 1_717_286_400, *DAYS_FIRST], 32),
    ],
)
def test_one_order_of_day_and_month_for_a_file(tmp_path: Path, times: list[Any], read: int) -> None:
    rows = [{**GOOD, "timestamp": when, "text_id": n} for n, when in enumerate(times)]
    file = read_texts(write_lines(tmp_path / "a.jsonl", *rows))
    texts = [row for row in file if isinstance(row, Text)]
    known = [text for text in texts if text.timestamp is not None]
    assert (len(texts), len(known)) == (len(times), read)
    assert {datetime.fromtimestamp(text.timestamp / 1000, UTC).month for text in known} <= {6}
    assert file.noted["timestamp_unreadable"] == len(times) - read
    assert any("05/01/2024" in note for note in file.notes) is (
        times[:1_000] != ["2024-06-02"] * 1_000
    )


def test_the_name_of_a_column_can_have_a_comma(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'who,"How was it, really?"\nana,Good soup.\n')
    for given in (
        ["user=who,text=How was it, really?"],
        ["text=How was it, really?,user=who", "topic="],
    ):
        (text,), rejects = read(path, columns=parse_map(given))
        assert (text.user_id, text.body, rejects) == ("ana", "Good soup.", [])
    with raises(FormatError, "no_such_column", "who,body"):
        read(path, columns=parse_map(["user=who,body"]))
    with raises(FormatError, "invalid_map", "who"):
        parse_map(["who,user=who"])


@pytest.mark.parametrize("around", [{}, {"name": "Chat", "type": "group", "id": 7}])
def test_rows_inside_of_an_object_are_named_and_read(
    tmp_path: Path, around: dict[str, Any]
) -> None:
    said = [{"from": {"name": "ana"}, "body_text": f"Message {n}."} for n in range(3)]
    path = write(tmp_path / "chat.json", json.dumps({**around, "messages": said}))
    with raises(FormatError, "unknown_format", "from.name, body_text"):
        read_texts(path)
    texts, rejects = read(path, columns={"user_id": "from.name", "body": "body_text"})
    assert [text.body for text in texts] == [row["body_text"] for row in said] and not rejects
