"""Data sets are read as they are published: the right columns, and nothing lost in silence."""

import bz2
import gzip
import json
import lzma
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from format_writers import ONE_FOLDER
from hypothesis import given
from hypothesis import strategies as st
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.validation import FormatError, Reject, WrongReading
from patlm.stores.types import Text
from pyarrow import parquet
from raising import raises


def read(path: Path, content: str | bytes, **options: Any) -> tuple[list[Text], list[Reject]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = list(read_texts(path, **options))
    texts = [row for row in rows if isinstance(row, Text)]
    return texts, [row for row in rows if isinstance(row, Reject)]


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


AMAZON18 = {
    "overall": 5.0,
    "verified": True,
    "reviewTime": "09 1, 2016",
    "reviewerID": "A3EX",
    "asin": "B00E",
    "reviewerName": "J. Example",
    "reviewText": "Sits well.",
    "summary": "Five",
    "unixReviewTime": 1472688000,
}
GOODREADS = {
    "user_id": "8842ex",
    "book_id": "24",
    "review_id": "r1",
    "rating": 0,
    "review_text": "Could not put it down.",
    "date_added": "Fri Aug 25 13:55:02 -0700 2017",
}
YELP = {
    "review_id": "r1",
    "user_id": "u_a1",
    "business_id": "b1",
    "stars": 4.0,
    "useful": 0,
    "text": "Great place!",
    "date": "2018-07-07 22:09:11",
}
COMMENT = {
    "author": "crusty_loaf",
    "body": "I always rest the dough overnight.",
    "subreddit": "AskBaking",
    "link_id": "t3_x",
    "created_utc": 1546300900,
    "id": "a2",
}

# Format, file, content, and of its first text: user, topic, title, rating, milliseconds, body.
# 1,472,688,000 is 2016-09-01; 2017-08-25 13:55:02 -0700 is 1,503,694,502; 2018-07-07 22:09:11 UTC
# is 1,531,001,351; 2018-01-01 00:11:28 is 1,514,765,488; 2017-01-13 is 1,484,265,600; 2020-01-01
# is 1,577,836,800.
PUBLISHED: list[tuple[str, str, str, tuple[Any, ...]]] = [
    (
        "amazon2018",
        "a.json",
        lines(AMAZON18),
        ("A3EX", "B00E", "Five", 5.0, 1472688000000, "Sits well."),
    ),
    (
        "amazon2018",
        "2014.json",  # some files of 2014 are Python dictionaries
        str(AMAZON18) + "\n",
        ("A3EX", "B00E", "Five", 5.0, 1472688000000, "Sits well."),
    ),
    (
        "goodreads",
        "g.json",
        lines(GOODREADS),
        ("8842ex", "24", "", None, 1503694502000, "Could not put it down."),
    ),
    ("yelp", "review.json", lines(YELP), ("u_a1", "b1", "", 4.0, 1531001351000, "Great place!")),
    (
        "reddit",
        "RC_2019-01.jsonl",
        lines(COMMENT),
        ("crusty_loaf", "t3_x", "", None, 1546300900000, "I always rest the dough overnight."),
    ),
    (
        "reddit",
        "RS.jsonl",
        lines(
            {
                "author": "crusty_loaf",
                "title": "Rye?",
                "selftext": "How sour is yours?",
                "subreddit": "AskBaking",
                "created_utc": "1546300900",
            }
        ),
        ("crusty_loaf", "AskBaking", "Rye?", None, 1546300900000, "How sour is yours?"),
    ),
    (
        "imdb62",
        "imdb62.txt",
        '7\t33913\t100\t9.0\tA "classic"\tNobody, and I mean nobody, does "it" better.\n',
        (
            "33913",
            "100",
            'A "classic"',
            9.0,
            None,
            'Nobody, and I mean nobody, does "it" better.',
        ),
    ),
    (
        "imdb62",
        "imdb62.csv",
        "reviewId,userId,itemId,rating,title,content\n7,33913,100,10,Good,Watch it twice.\n",
        ("33913", "100", "Good", 10.0, None, "Watch it twice."),
    ),
    (
        "google_play",
        "play.csv",
        "reviewId,userName,userImage,content,score,thumbsUpCount,at\n"
        "r1,Ann Other,x,Works,5,0,2020-01-01\n",
        ("Ann Other", "", "", 5.0, 1577836800000, "Works"),
    ),
    (
        "finefood",
        "Reviews.csv",
        "Id,ProductId,UserId,ProfileName,Score,Time,Summary,Text\n"
        "1,B001,A3SG,x,5,1303862400,Good,Tasty\n",
        ("A3SG", "B001", "Good", 5.0, 1303862400000, "Tasty"),
    ),
    (
        "b2w_reviews",
        "B2W-Reviews01.csv",
        "submission_date;reviewer_id;product_id;review_title;overall_rating;review_text\n"
        "2018-01-01 00:11:28;d0fb;1325;Bom;4;Muito bom\n",
        ("d0fb", "1325", "Bom", 4.0, 1514765488000, "Muito bom"),
    ),
    (
        "datafiniti",
        "datafiniti.csv",
        "id,reviews.date,reviews.rating,reviews.text,reviews.title,reviews.username\n"
        "AV1,2017-01-13,5,Love it,Nice,Ex\n",
        ("Ex", "AV1", "Nice", 5.0, 1484265600000, "Love it"),
    ),
]


@pytest.mark.parametrize(("format", "name", "content", "expected"), PUBLISHED)
def test_published_data_set(
    tmp_path: Path, format: str, name: str, content: str, expected: tuple[Any, ...]
) -> None:
    rows = (tmp_path / name, content)
    (text,), rejects = read(*rows)
    assert not rejects
    assert read_texts(tmp_path / name).format == format
    found = (text.user_id, text.topic_id, text.title, text.rating, text.timestamp, text.body)
    assert found == expected
    assert text.language == ("pt" if format == "b2w_reviews" else "en")


def test_yelp_texts_of_two_places_are_two(tmp_path: Path) -> None:
    """The same two words on two places are two texts, and no column is lost in silence."""
    path = tmp_path / "review.json"
    other = {**YELP, "review_id": "r2", "business_id": "b2", "stars": 2.0}
    texts, _ = read(path, lines(YELP, other))
    assert len({text.text_id for text in texts}) == 2
    rows = read_texts(path)
    assert rows.columns["topic_id"] == ["business_id"]
    assert "useful" in rows.unread and "business_id" not in rows.unread
    assert any("useful" in note for note in rows.notes)


def test_what_reddit_deleted_is_nobody_and_no_text(tmp_path: Path) -> None:
    gone = [{**COMMENT, "author": author} for author in ("[deleted]", "[deleted] ")]
    removed = ["[removed]", "[deleted]\n", "[ Removed by Reddit ]"]
    removed += ["[ Removed by reddit in response to a copyright notice. ]"]
    rows = [*gone, *({**COMMENT, "body": body} for body in removed), COMMENT]
    texts, rejects = read(tmp_path / "RC.jsonl", lines(*rows))
    assert [text.user_id for text in texts] == ["crusty_loaf"]
    codes = ["user_missing"] * 2 + ["text_missing"] * 4
    assert [reject.code for reject in rejects] == codes
    bare = [
        {"author": row["author"], "body": row["body"]} for row in rows if "Rem" not in row["body"]
    ]
    texts, rejects = read(tmp_path / "copy.jsonl", lines(*bare))  # whatever else its columns are
    assert [text.user_id for text in texts] == ["crusty_loaf"] and len(rejects) == 4


def test_an_id_may_look_like_a_number_with_an_exponent(tmp_path: Path) -> None:
    texts, rejects = read(tmp_path / "RC.jsonl", lines({**COMMENT, "id": "1e12345"}))
    assert [text.source_id for text in texts] == ["1e12345"] and not rejects


def test_a_file_without_topics_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    read(path, lines({"user": "u", "text": "Fine.", "shop": "s1"}))
    notes = " ".join(read_texts(path).notes)
    assert "no text has a topic" in notes and "shop" in notes
    read(path, lines({"user": "u", "text": "Fine.", "topic": "s1"}))
    assert read_texts(path).notes == ()


def test_google_users_are_several_people(tmp_path: Path) -> None:
    rows = "reviewId,userName,content,score\nr1,A Google user,Works,5\nr2,Ann Other,Fails,1\n"
    rows += "r3, Um usu\u00e1rio do Google,Bom,5\nr4,Google \u30e6\u30fc\u30b6\u30fc,Fine,4\n"
    (crowd, one, *others), _ = read(tmp_path / "play.csv", rows)
    assert (crowd.shared_id, one.shared_id) == (True, False)
    assert [text.shared_id for text in others] == [True, True]


def test_ratings_of_ten_are_known_of_imdb62(tmp_path: Path) -> None:
    path = tmp_path / "imdb62.txt"
    texts, rejects = read(path, "1\t5\t9\t10\tT\tGood.\n2\t5\t8\t1.0\tT\tBad.\n3\t5\tbroken\n")
    assert [text.rating for text in texts] == [10.0, 1.0]
    assert (str(read_texts(path).scale), read_texts(path).scale_known) == ("1-10", True)
    assert [(reject.line, reject.code) for reject in rejects] == [(3, "columns")]


BYTES = lines({"user_id": "u", "text": "Très bien"}).encode()
PACKED = {
    "a.jsonl.gz": gzip.compress(BYTES),
    "a.jsonl.zst": zstandard.compress(BYTES),
    "a.jsonl.bz2": bz2.compress(BYTES),
    "a.jsonl.xz": lzma.compress(BYTES),
    "two-frames.zst": zstandard.compress(BYTES[:20]) + zstandard.compress(BYTES[20:]),
    "named-wrongly.jsonl": gzip.compress(BYTES),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_files_are_unpacked(tmp_path: Path, name: str) -> None:
    (text,), rejects = read(tmp_path / name, PACKED[name])
    assert (text.body, rejects) == ("Très bien", [])


def test_packed_files_have_the_hash_of_their_content(tmp_path: Path) -> None:
    """So a person without a name has one id, packed or not."""
    rows = lines({"input": "I", "output": "O", "profile": [{"text": "Mine."}]})
    plain, _ = read(tmp_path / "l.json", rows)
    packed, _ = read(tmp_path / "l.json.gz", gzip.compress(rows.encode()))
    other, _ = read(tmp_path / "m.json", rows.replace("Mine", "Yours"))
    assert plain[0].user_id == packed[0].user_id != other[0].user_id


@pytest.mark.parametrize("cut", [40, 1])
def test_a_packed_file_that_breaks_off(tmp_path: Path, cut: int) -> None:
    rows = lines(*({"user_id": f"u{i}", "text": f"Text {i * 7919}."} for i in range(20_000)))
    texts, rejects = read(tmp_path / "a.jsonl.gz", gzip.compress(rows.encode())[:-cut])
    assert 10_000 < len(texts) <= 20_000
    assert rejects[-1].code == "damaged" and len(rejects) <= 2


@pytest.mark.parametrize(
    ("content", "code", "named"),
    [
        (b"\x28\xb5\x2f\xfd\x04\x00aaaa", "damaged_file", "zstd"),
        (b"\x1f\x8b\x08", "damaged_file", "gzip"),
        (b"PK\x03\x04rest", "not_text", "zip"),
        (b"SQLite format 3\x00", "not_text", "data base"),
        (b"%PDF-1.7", "not_text", "PDF"),
        (gzip.compress(b"", mtime=0), "empty_file", "a.bin"),
        (b"\xff\xfe", "empty_file", "a.bin"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes, code: str, named: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    with raises(FormatError, code, named):
        read_texts(path)


ROW = {"user_id": "u1", "text": "Très bien à Orléans — oui", "rating": 5}
CSV = "user_id,text,rating\nu1,Très bien à Orléans — oui,5\n"


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16", b""),  # Python writes the mark
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b""),
        ("utf-32", b""),
        ("cp1252", b""),
    ],
)
@pytest.mark.parametrize("content", [CSV, json.dumps(ROW, ensure_ascii=False) + "\n"])
def test_encodings(tmp_path: Path, content: str, encoding: str, mark: bytes) -> None:
    path = tmp_path / "a.data"
    (text,), rejects = read(path, mark + content.encode(encoding))
    assert (text.body, text.rating, rejects) == (ROW["text"], 5.0, [])
    said = " ".join(read_texts(path).notes)
    assert ("read as" in said) == (encoding != "utf-8")


def test_cp1252_is_found_late(tmp_path: Path) -> None:
    rows = (
        "user_id;text;rating\n"
        + f"u1;{'plain words ' * 20};4\n" * 6_000
        + "u2;Tr\xe8s bien, caf\xe9;5\n"
    )
    texts, rejects = read(tmp_path / "a.csv", rows.encode("latin-1"))
    assert (texts[-1].body, rejects) == ("Très bien, café", [])


def test_russian_of_windows(tmp_path: Path) -> None:
    words = "Очень хорошая лампа, светит ярко и не мигает. Рекомендую всем друзьям."
    path = tmp_path / "a.csv"
    rows = f'user_id,text\nu1,"{words}"\n'.encode("cp1251")
    (text,), _ = read(path, rows)
    assert text.body == words
    assert read(path, rows, encoding="cp1252")[0][0].body != words
    with raises(FormatError, "unknown_encoding", "klingon"):
        read(path, rows, encoding="klingon")


def test_bad_bytes_in_utf8_cost_their_row(tmp_path: Path) -> None:
    """Where other rows are UTF-8, a byte that is not is a fault, and not another encoding."""
    content = "user,text\nu1,déjà vu\n".encode() + b"u2,caf\xe9\n" + "u3,naïve\n".encode()
    texts, rejects = read(tmp_path / "a.csv", content)
    assert [text.user_id for text in texts] == ["u1", "u3"]
    assert [(reject.line, reject.code) for reject in rejects] == [(3, "text_encoding")]


SHAPES: dict[str, str | bytes] = {
    "mac-cr.csv": "user_id,text\ru1,fine\ru2,good\r",
    "crlf.csv": "user_id,text\r\nu1,fine\r\nu2,good\r\n",
    "pipe.csv": "user_id|text\nu1|fine\nu2|good\n",
    "excel-sep.csv": "sep=;\nuser_id;text\nu1;fine\nu2;good\n",
    "space.csv": 'user_id, text\nu1, "fine"\nu2, good\n',
    "quoted.csv": '"user_id","text"\n"u1","fine"\n"u2","good"\n',
    "tab.tsv": "user_id\ttext\nu1\tfine\nu2\tgood\n",
    "index.csv": ",user_id,text\n0,u1,fine\n1,u2,good\n",
    "twice.csv": "user_id,text,text\nu1,fine,no\nu2,good,no\n",
    "wrapped.json": '{"reviews": [{"user_id":"u1","text":"fine"},{"user_id":"u2","text":"good"}]}',
    "behind.json": '{"n":2, "r":[{"user_id":"u1","text":"fine"},{"user_id":"u2","text":"good"}]}',
    "list.json": '[{"user_id":"u1","text":"fine"},{"user_id":"u2","text":"good"}]',
    "pretty.json": '{\n "user_id":"u1",\n "text":"fine"\n}\n{\n "user_id":"u2",\n "text":"good"\n}',
    "columns.json": '{"user_id":{"0":"u1","1":"u2"},"text":{"0":"fine","1":"good"}}',
    "split.json": '{"columns":["user_id","text"],"data":[["u1","fine"],["u2","good"]]}',
    "mac.jsonl": '{"user_id":"u1","text":"fine"}\r{"user_id":"u2","text":"good"}\r',
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_files(tmp_path: Path, name: str) -> None:
    texts, rejects = read(tmp_path / name, SHAPES[name])
    assert [(text.user_id, text.body) for text in texts] == [("u1", "fine"), ("u2", "good")]
    assert not rejects


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = {"user_id": [7, 8], "text": ["fine", None], "rating": [4.5, None]}
    parquet.write_table(pa.table(table), path)
    (text, reject) = read_texts(path)
    assert isinstance(text, Text) and isinstance(reject, Reject)
    assert (text.user_id, text.body, text.rating) == ("7", "fine", 4.5)
    assert (reject.line, reject.code) == (2, "text_missing")
    path.write_bytes(path.read_bytes()[:-40])
    with raises(FormatError, "damaged_file", path.name):
        read_texts(path)


def test_longlamp_in_parquet(tmp_path: Path) -> None:
    people = {
        "reviewerId": ["A1"],
        "input": ["i"],
        "output": ["o"],
        "profile": [[{"reviewText": "r", "overall": "4.0"}]],
    }
    parquet.write_table(pa.table(people), tmp_path / "test-00000-of-00001.parquet")
    rows = read_texts(tmp_path)
    own, target = rows
    assert isinstance(own, Text) and isinstance(target, Text)
    assert rows.format == "longlamp"
    assert (own.user_id, own.body, own.rating, target.body) == ("A1", "r", 4.0, "o")


def test_a_folder_of_shards_is_one_set(tmp_path: Path) -> None:
    for number in range(3):
        rows = pa.table({"user_id": [f"u{number}"], "text": [f"text {number}"]})
        (tmp_path / "data").mkdir(exist_ok=True)
        parquet.write_table(rows, tmp_path / "data" / f"train-0000{number}-of-00003.parquet")
    texts = list(read_texts(tmp_path))
    assert [text.body for text in texts if isinstance(text, Text)] == ["text 0", "text 1", "text 2"]
    parquet.write_table(rows, tmp_path / "data" / "test-00000-of-00001.parquet")
    with raises(FormatError, "several_sets", "test", "train"):
        read_texts(tmp_path)


def test_a_folder_of_the_datasets_library(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {"user_id": ["u1", "u2"], "text": ["fine", "good"]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "one")
    both = datasets.DatasetDict(train=datasets.Dataset.from_dict(rows))
    both.save_to_disk(tmp_path / "dict")
    for folder in ("one", "dict"):
        texts = list(read_texts(tmp_path / folder))
        assert [text.body for text in texts if isinstance(text, Text)] == ["fine", "good"]
    both["test"] = both["train"]
    both.save_to_disk(tmp_path / "two")
    with raises(FormatError, "several_sets", "train", "test"):
        read_texts(tmp_path / "two")


def test_the_hub_that_is_not_there_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with raises(FormatError, "unreadable_file", "hf:nobody/nothing") as raised:
        read_texts(Path("hf:nobody/nothing"))
    assert "\n" not in str(raised.value)
    with raises(FormatError, "invalid_address", "hf:nothing"):
        read_texts(Path("hf:nothing"))


@pytest.mark.parametrize(
    ("name", "content", "refused"),
    [
        (
            "Art_and_Entertainment_test.json",
            json.dumps(
                [
                    {"id": "1", "question": "Q?", "narrative": "N", "rubric_aspects": []}
                    | {"profile": [{"id": "2", "text": "An older question.", "category": "c"}]}
                ]
            ),
            "LaMP-QA",
        ),
        (
            "questions_32k.csv",
            "persona_id,question_id,user_question_or_message,correct_answer,shared_context_id\n"
            "0,q,What?,(a),c\n",
            "PersonaMem",
        ),
        (
            "shared_contexts_32k.jsonl",
            json.dumps({"c0ffee": [{"role": "system", "content": "You are"}] * 2}) + "\n",
            "PersonaMem",
        ),
    ],
)
def test_sets_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, name: str, content: str, refused: str
) -> None:
    (tmp_path / name).write_text(content)
    for format in ("auto", "pgraphrag"):
        with raises(FormatError, "refused_set", name, refused):
            read_texts(tmp_path / name, format=format)


def test_texts_that_come_late(tmp_path: Path) -> None:
    rows = [{"user_id": f"u{i}", "rating": 4} for i in range(60)]
    late = {"user_id": "u1", "text": "A real text comes late."}
    for format in ("auto", "jsonl"):
        texts, rejects = read(tmp_path / "late.jsonl", lines(*rows, late), format=format)
        assert ([text.body for text in texts], len(rejects)) == (["A real text comes late."], 60)
    rows *= 20
    texts, rejects = read(tmp_path / "late.jsonl", lines(*rows, late), format="jsonl")
    assert (len(texts), len(rejects)) == (1, 1200)
    with raises(FormatError, "unknown_format", "1,000"):
        read_texts(tmp_path / "late.jsonl")


def test_columns_that_the_caller_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("who,post,about,when\nana,Good soup.,soup,2024-05-01\n")
    with raises(FormatError, "unknown_format", "who, post, about, when", "--map"):
        read_texts(path)
    mapped = {"user_id": "Who", "body": "post", "topic_id": "about", "timestamp": "when"}
    rows = read_texts(path, columns=mapped)
    (text,) = rows
    assert isinstance(text, Text)
    assert (text.user_id, text.body, text.topic_id) == ("ana", "Good soup.", "soup")
    assert (text.timestamp, rows.format, rows.unread) == (1714521600000, "mapped", [])
    with raises(FormatError, "no_such_column", "author", "who, post, about, when"):
        read_texts(path, columns={"user_id": "author", "body": "post"})


def test_mapped_columns_in_objects_and_over_a_format(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    nested = {"user": {"name": "ana"}, "text": "Good.", "asin": "x", "kind": "soup"}
    (text,), _ = read(path, lines(nested), columns={"user_id": "user.name", "topic_id": "kind"})
    assert (text.user_id, text.topic_id) == ("ana", "soup")
    (text,), _ = read(path, lines(YELP), columns={"topic_id": "review_id", "rating": ""})
    assert (text.topic_id, text.rating, text.timestamp) == ("r1", None, 1531001351000)
    people = json.dumps([{"id": "u", "profile": [{"text": "Mine.", "pid": "p"}]}])
    with raises(FormatError, "invalid_map", "--map"):
        read(path, people, columns={"user_id": "id"})


LETTERS = "abcdefghijklmnopqrstuvwxyz"
UTF8_WORDS = st.text(LETTERS + "äöüßéèçñãõ“”’–…日本語привет", min_size=4, max_size=30)
LATIN_WORDS = st.sampled_from("café très São coração Grüße niño 5€ “oui” – déjà".split())
BAD_BYTES = st.sampled_from([b"\xff", b"\xfe", b"\xc0", b"\x80", b"\xe9", b"\xf6"])


@ONE_FOLDER
@given(
    st.lists(UTF8_WORDS.filter(lambda words: not words.isascii()), min_size=1, max_size=12),
    st.lists(BAD_BYTES, min_size=1, max_size=12),
)
def test_damage_of_a_utf8_file_costs_its_rows(words: list[str], bad: list[bytes]) -> None:
    bad = bad[: len(words)]
    rows = [f"u{n},Oh {each} no\n".encode() for n, each in enumerate(words)]
    damaged = [b"u-bad,Oh " + each + b" no\n" for each in bad]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        texts, rejects = read(path, b"user,text\n" + b"".join([*rows, *damaged]))
    assert [text.body for text in texts] == [f"Oh {each} no" for each in words]
    assert {reject.code for reject in rejects} == {"text_encoding"}
    assert len(rejects) == len(damaged)


@ONE_FOLDER
@given(st.lists(st.lists(LATIN_WORDS, min_size=1, max_size=9), min_size=1, max_size=12))
def test_no_file_of_another_encoding_is_taken_for_utf8(rows: list[list[str]]) -> None:
    said = [" ".join(["Oh", *words, "so"]) for words in rows]
    content = "user;text\n" + "".join(f"u{n};{each}\n" for n, each in enumerate(said))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        texts, rejects = read(path, content.encode("cp1252"))
        assert (len(texts), rejects) == (len(said), [])
        assert any(note.startswith("read as cp12") for note in read_texts(path).notes)
        texts, _ = read(path, content.encode("cp1252"), encoding="cp1252")
    assert [text.body for text in texts] == said


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", "Très bien, le café à Orléans était délicieux, mais la fenêtre ne ferme pas."),
        ("cp1251", "Очень хорошая лампа, светит ярко и не мигает."),
        ("gb18030", "这个灯非常好，光线明亮，不闪烁。推荐给所有的朋友们，质量很好，价格也便宜。"),
        (
            "mac_roman",
            "Très bien, le café à Orléans était délicieux, mais la fenêtre ne ferme pas.",
        ),
        (
            "cp850",
            "Die Lampe ist schön und günstig, aber der Schalter fällt ab, ein Größenproblem.",
        ),
        ("euc_kr", "아주 좋은 램프입니다. 밝고 깜박이지 않습니다. 모든 친구에게 추천합니다."),
    ],
)
def test_other_encodings_are_found(tmp_path: Path, encoding: str, words: str) -> None:
    rows = "user;text\n" + "".join(f"u{n};{words}\n" for n in range(5))
    texts, rejects = read(tmp_path / "a.csv", rows.encode(encoding))
    assert ({text.body for text in texts}, rejects) == ({words}, [])


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("mac_roman", "El niño comió mañana en el jardín; ¡qué rápido! El café está frío."),
        ("cp850", "Lampan är väldigt bra, men knappen går sönder. Jag är inte nöjd."),
    ],
)
def test_an_encoding_that_is_not_sure_is_said(tmp_path: Path, encoding: str, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"user;text\nu1;{words}\n".encode(encoding))
    (note,) = (note for note in read_texts(path).notes if note.startswith("read as"))
    assert note.startswith(f"read as {encoding}") or f"may be {encoding}" in note
    assert "--encoding" in note


def test_what_may_be_either_encoding_is_asked(tmp_path: Path) -> None:
    content = "user,text\nu1,déjà vu\n".encode() + b"u2,caf\xe9 \xe0 c\xf4t\xe9\n"
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with raises(WrongReading, "encoding_unclear", "--encoding utf-8"):
        read_texts(path)
    with raises(WrongReading, "encoding_unclear", "--encoding cp932"):
        read(
            path,
            "user,text\nu1,このランプはとても良いです。①番におすすめします。\n".encode("cp932"),
        )
    texts, rejects = read(path, content, encoding="utf-8")
    assert [text.user_id for text in texts] == ["u1"] and len(rejects) == 1
    assert len(read(path, content, encoding="cp1252")[0]) == 2


def test_a_parquet_file_with_nested_columns_times_and_decimals(tmp_path: Path) -> None:
    moment = datetime(2024, 5, 1, 12, 30, 0, 250_000, tzinfo=UTC)
    columns = {
        "person": pa.array(
            [{"id": 7, "name": {"Full": "Ana"}}, {"id": 8, "name": None}, None],
            pa.struct([("id", pa.int64()), ("name", pa.struct([("Full", pa.string())]))]),
        ),
        "said": pa.array(["Soup.", "Bread.", "Jam."], pa.large_string()),
        "thing": pa.array(["t1", "t2", "t1"]).dictionary_encode(),
        "stars": pa.array([Decimal("4.50"), None, Decimal("2")], pa.decimal128(5, 2)),
        "at": pa.array([moment, None, moment], pa.timestamp("ns", "Europe/Lisbon")),
        "day": pa.array([moment.date(), None, moment.date()], pa.date32()),
        "tags": pa.array([["a"], [], None], pa.list_(pa.string())),
    }
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table(columns), path)
    mapped = {"user_id": "person.id", "body": "said", "topic_id": "thing", "rating": "stars"}
    rows = list(
        read_texts(path, columns={**mapped, "timestamp": "at", "title": "person.name.full"})
    )
    first, second, third = rows
    assert isinstance(first, Text) and isinstance(second, Text) and isinstance(third, Reject)
    assert (first.user_id, first.title, first.topic_id, first.rating) == ("7", "Ana", "t1", 4.5)
    assert first.timestamp == round(moment.timestamp() * 1000)
    assert (second.user_id, second.title, second.rating) == ("8", "", None)
    assert second.timestamp is None and third.code == "user_missing"
    (first, *_) = read_texts(path, columns={**mapped, "timestamp": "day"})
    assert isinstance(first, Text)
    assert first.timestamp == round(datetime(2024, 5, 1, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_a_time_beyond_all_calendars_costs_the_time(tmp_path: Path, unit: str) -> None:
    far = pa.array([2**62 if unit == "us" else 10**15, 1_714_521_600], pa.int64())
    table = pa.table(
        {"user": ["u1", "u2"], "text": ["Soup.", "Jam."], "time": far.cast(pa.timestamp(unit))}
    )
    path = tmp_path / "a.parquet"
    parquet.write_table(table, path)
    read_again = read_texts(path)
    texts = [row for row in read_again if isinstance(row, Text)]
    assert [text.body for text in texts] == ["Soup.", "Jam."]
    assert texts[0].timestamp is None and read_again.noted["timestamp_unreadable"] >= 1


def test_lines_that_end_in_cr_with_lf_in_their_texts(tmp_path: Path) -> None:
    """A spreadsheet of a Mac ends rows in CR, and lines inside of them in LF."""
    content = 'user,text\rana,"A good lamp.\nWarm."\rben,Fine.\rcy,Loud.\r'
    for end in ("", "\n"):
        for encoding in ("utf-8", "utf-16"):
            texts, rejects = read(tmp_path / "a.csv", (content + end).encode(encoding))
            assert [text.user_id for text in texts] == ["ana", "ben", "cy"] and not rejects
            assert texts[0].body == "A good lamp.\nWarm."


@pytest.mark.parametrize("bad", [b"\xed\xa0\xbd\xed\xb8\x80", b"\xc0\x80"])
def test_what_java_writes_is_nearly_utf8(tmp_path: Path, bad: bytes) -> None:
    """Its rows are rejected, instead of the file being read as Chinese."""
    texts, rejects = read(tmp_path / "a.csv", b"user,text\nana,good " + bad + b" lamp\nben,Fine.\n")
    assert [text.user_id for text in texts] == ["ben"]
    assert [reject.code for reject in rejects] == ["text_encoding"]
