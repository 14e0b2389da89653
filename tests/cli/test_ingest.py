"""`patlm ingest`: one object on stdout, one line for an error, nothing written of a wrong file."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from click.testing import Result
from patlm.cli.output import date_of
from patlm.cli.texts import ingest
from patlm.stores.datasets.formats import FORMATS, read_texts
from patlm.stores.datasets.preview import preview
from patlm.stores.datasets.readers.rows import Advance, DataFile, Format, Raw
from patlm.stores.datasets.validation import Reject
from patlm.stores.texts.store import TextStore
from processes import call
from pyarrow import parquet
from store_fixtures import style_encoder, topic_encoder
from typer.testing import CliRunner

PEOPLE = [
    {
        "id": f"person{number}",
        "profile": [
            {"rating": 5, "title": "A", "text": f"Target {number}.", "pid": number % 3},
            {"rating": 5, "title": "B", "text": f"History {number}." * (number % 2), "pid": "p"},
        ],
    }
    for number in range(6)
]


@pytest.fixture(autouse=True)
def fake_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def open_store(uri: str, **_: object) -> AsyncIterator[TextStore]:
        async with TextStore.open(
            uri, style_encoder=style_encoder(), topic_encoder=topic_encoder()
        ) as store:
            yield store

    monkeypatch.setattr("patlm.graph.open.open_store", open_store)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "b2w_dev.json"
    path.write_text(json.dumps(PEOPLE))
    return path


def run(*arguments: object) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    ingest.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


CODES = re.compile(r"\x1b\[[?0-9;]*[A-Za-ln-z]")
"""Escape codes that move the cursor or clear a line; those of colours end in m."""


@pytest.mark.parametrize("forced", [None, "1"])
@pytest.mark.parametrize("options", [(), ("--json",), ("--dry-run",)])
def test_no_bar_is_drawn_into_a_file(
    tmp_path: Path,
    people: Path,
    monkeypatch: pytest.MonkeyPatch,
    forced: str | None,
    options: tuple[str, ...],
) -> None:
    if forced is not None:
        monkeypatch.setenv("FORCE_COLOR", forced)
    result = run(people, "--store", tmp_path / "store", *options)
    assert result.exit_code == 0 and CODES.search(result.stderr) is None
    if forced is None:
        assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("2024-05-01 10:30:00", True),
        ("2024-05-01T10:30:00.123", True),
        ("May 1, 2024 10:30 PM", True),
        ("2024-05-01T10:30:00Z", False),
        ("2024-05-01 10:30:00+02:00", False),
        ("2024-05-01 10:30:00 -0700", False),
        ("Wed, 01 May 2024 10:30:00 GMT", False),
        ("Wed, 01 May 2024 10:30:00 PDT", False),
        ("2024-05-01", False),
        (1714559400, False),
        ("1714559400000", False),
    ],
)
def test_a_dry_run_says_that_times_have_no_zone(tmp_path: Path, time: object, told: bool) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"user_id": "u", "text": "Fine.", "time": time}))
    result = run(tmp_path / "a.jsonl", "--store", tmp_path / "store", "--dry-run", "--json")
    found = json.loads(result.stdout)
    assert found["texts"][0]["timestamp"] is not None
    assert any("zone" in each and "UTC" in each for each in found["odd"]) is told


def test_a_damaged_shard_is_a_partial_loss(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(3):
        table = pa.table({"user_id": [f"u{number}"], "text": ["Fine."]})
        parquet.write_table(table, folder / f"part-{number}.parquet")
    shard = folder / "part-1.parquet"
    shard.write_bytes(shard.read_bytes()[:-20])
    words = (folder, "--store", tmp_path / "store", "--json")
    result = run(*words)
    found = json.loads(result.stdout)
    assert (result.exit_code, found["added"], found["rejected"]) == (0, 2, 1)
    assert "part-1.parquet" in result.stderr
    assert run(*words, "--strict").exit_code == 1


def test_json_is_one_object_whose_counts_add_up(tmp_path: Path, people: Path) -> None:
    store = tmp_path / "store"
    result = run(people, "--store", store, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    rejects = tmp_path / "store.b2w_dev.rejects.jsonl"
    assert {key: found[key] for key in ("rows", "added", "duplicates", "rejected")} == {
        "rows": 12,
        "added": 9,  # three of the six histories are empty
        "duplicates": 0,
        "rejected": 3,
    }
    assert (found["targets"], found["format"], found["language"]) == (6, "pgraphrag", "pt")
    assert found["rejects_file"] == str(rejects)
    assert [json.loads(line)["place"] for line in rejects.read_text().splitlines()] == [
        ".[0].profile[1]",
        ".[2].profile[1]",
        ".[4].profile[1]",
    ]
    assert result.stderr == (
        "warning: 3 of 12 rows rejected, the first in line 1 (.[0].profile[1]): no text; "
        f"all are listed in {rejects}\n"
    )
    assert (store / "splits.json").is_file()
    again = json.loads(run(people, "--store", store, "--json").stdout)
    assert (again["added"], again["duplicates"], again["rejected"]) == (0, 9, 3)


def test_strict_exits_with_one_and_keeps_the_good_rows(tmp_path: Path, people: Path) -> None:
    listed = tmp_path / "mine.jsonl"
    result = run(people, "--store", tmp_path / "s", "--strict", "--json", "--rejects", listed)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["added"] == 9
    assert len(listed.read_text().splitlines()) == 3
    clean = tmp_path / "clean.jsonl"
    clean.write_text('{"user": "u", "text": "a"}\n')
    result = run(clean, "--store", tmp_path / "s", "--strict")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 rows of clean.jsonl: 1 added, 0 duplicates, 0 rejected" in result.stdout


@pytest.mark.parametrize(
    ("name", "content", "options", "message", "code"),
    [
        ("a.txt", "Dear all", (), "a.txt", 1),
        ("a.jsonl", None, (), "a.jsonl", 1),
        ("a.jsonl", '{"user": "u", "text": "a"}', ("--format", "xml"), "'xml'", 2),
        ("a.jsonl", '{"user": "u", "text": "a"}', ("--format", "yelp"), "yelp", 2),
        ("a.jsonl", '{"user": "u"}', ("--rejects", "a.jsonl"), "--rejects", 2),
    ],
)
def test_a_wrong_file_is_one_line_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: str | None,
    options: tuple[str, ...],
    message: str,
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_text(content)
    result = run(name, "--store", "store", "--json", *options)
    assert result.exit_code == code
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ([name] if content is not None else [])


def test_an_added_format_is_recognised_ingested_and_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(file: DataFile, advance: Advance) -> Iterator[Raw | Reject]:
        for number, line in file.lines(advance):
            assert isinstance(line, bytes)
            author, body = line.decode().split(">", 1)
            yield Raw(number, {"user_id": author, "body": body})

    mail = Format("mail", "lines of author>text", lambda head: head.path.suffix == ".mail", read)
    monkeypatch.setitem(FORMATS, "mail", mail)
    (tmp_path / "a.mail").write_text("ana>A grand view.\nbo>A small one.\n")
    result = run(tmp_path / "a.mail", "--store", tmp_path / "store", "--json")
    found = json.loads(result.stdout)
    assert (found["format"], found["added"], found["language"]) == ("mail", 2, "en")
    (tmp_path / "b.txt").write_text("nothing of the kind")
    result = run(tmp_path / "b.txt", "--store", tmp_path / "store")
    assert result.exit_code == 1 and "mail: lines of author>text" in " ".join(result.stderr.split())


def lines(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_an_ingest_that_keeps_nothing_exits_with_one(tmp_path: Path) -> None:
    late = [{"user_id": f"u{number}", "rating": 4} for number in range(60)]
    path = tmp_path / "late.jsonl"
    path.write_text(lines(*late))
    result = run(path, "--format", "jsonl", "--store", tmp_path / "s", "--json")
    assert (result.exit_code, json.loads(result.stdout)["rejected"]) == (1, 60)
    path.write_text(lines(*late, {"user_id": "u1", "text": "A real text comes late."}))
    result = run(path, "--format", "jsonl", "--store", tmp_path / "s", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["added"], found["rejected"]) == (0, 1, 60)
    again = run(path, "--format", "jsonl", "--store", tmp_path / "s")
    assert again.exit_code == 0, "what is there already is kept"


def test_one_bad_language_costs_its_row(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"user_id": f"u{n}", "text": f"Row {n}."} for n in range(20)]
    rows[7]["language"] = "Chinese (Simplified, China)"
    rows[8]["language"] = "zh-Hans"
    rows[9]["language"] = "pt_BR"
    path = tmp_path / "a.jsonl"
    path.write_text(lines(*rows))
    result = run(path, "--store", tmp_path / "s", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["added"], found["rejected"]) == (0, 19, 1)
    (reject,) = Path(found["rejects_file"]).read_text().splitlines()
    assert (json.loads(reject)["line"], json.loads(reject)["code"]) == (8, "language_unreadable")


TEN = [
    {"user": f"ur{r % 3}", "topic": "tt", "rating": r, "text": f"{r} of ten"} for r in range(1, 11)
]


def test_ratings_beyond_five_are_one_question(tmp_path: Path) -> None:
    path, store = tmp_path / "imdb.jsonl", tmp_path / "s"
    path.write_text(lines(*TEN))
    result = run(path, "--store", store, "--json")
    assert (result.exit_code, result.stdout, store.exists()) == (1, "", False)
    assert "--rating-scale" in result.stderr and result.stderr.count("\n") == 1
    found = json.loads(run(path, "--store", store, "--rating-scale", "1-10", "--json").stdout)
    assert (found["added"], found["rejected"], found["rating_scale"]) == (10, 0, "1-10")


@pytest.mark.parametrize(
    ("scale", "ratings", "added"),
    [
        ("1-5", [1, 5, 10], 2),  # the caller says that 10 is a mistake
        ("0-100", [0, 55, 100], 3),
        ("auto", [1, 4.5, 5], 3),
    ],
)
def test_scales(tmp_path: Path, scale: str, ratings: list[float], added: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines(*({"user": "u", "text": f"T {r}", "rating": r} for r in ratings)))
    result = run(path, "--store", tmp_path / "s", "--rating-scale", scale, "--json")
    assert (result.exit_code, json.loads(result.stdout)["added"]) == (0, added)


def test_a_store_has_one_scale_and_files_without_ratings_fit_any(tmp_path: Path) -> None:
    store, path = tmp_path / "s", tmp_path / "a.jsonl"
    path.write_text(lines(*TEN))
    assert run(path, "--store", store, "--rating-scale", "1-10").exit_code == 0
    path.write_text(lines({"user": "u", "text": "No stars."}))
    assert run(path, "--store", store).exit_code == 0
    path.write_text(lines({"user": "u", "text": "Five.", "rating": 5}))
    result = run(path, "--store", store)
    assert result.exit_code == 1 and "1-10" in result.stderr
    result = run(path, "--store", store, "--rating-scale", "best")
    assert result.exit_code == 2


def test_a_dry_run_shows_the_texts_and_writes_nothing(tmp_path: Path) -> None:
    path, store = tmp_path / "a.jsonl", tmp_path / "s"
    rows = [
        {"who": "ana" if n < 12 else f"u{n}", "said": f"Soup {n}.", "stars": n % 10 + 1, "x": 1}
        for n in range(20)
    ]
    path.write_text(lines(*rows))
    options = ("--map", "user=who,text=said", "--map", "rating=stars", "--dry-run")
    found = json.loads(run(path, "--store", store, *options, "--json").stdout)
    assert [text["body"] for text in found["texts"]] == [f"Soup {n}." for n in range(5)]
    assert found["columns"] == {"user_id": ["who"], "body": ["said"], "rating": ["stars"]}
    assert (found["unread"], found["rows"], found["rejected"]) == (["x"], 20, 10)
    odd = " ".join(found["odd"])
    assert "10 of 20 ratings" in odd and "'ana'" in odd and "no text has a topic" in odd
    shown = run(path, "--store", store, *options)
    assert shown.exit_code == 1 and "Soup 0." in shown.stdout  # the scale has to be named
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_what_the_ingest_says_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("user;text;useful\nu1;Très bien, café à Orléans;3\n".encode("cp1252"))
    result = run(path, "--store", tmp_path / "s")
    assert "cp1252" in result.stdout and "columns not read: useful" in result.stdout
    notes = json.loads(run(path, "--store", tmp_path / "s", "--json").stdout)["notes"]
    assert any("no text has a topic" in note for note in notes)
    assert not json.loads(
        run(path, "--store", tmp_path / "s", "--encoding", "cp1252", "--json").stdout
    )["notes"][0].startswith("read as")


PERSON = {"who": {"Name": "ana", "id": 7}, "said": "Soup.", "tags": [{"a": 1}], "stars": 5}


WRONG_MAPS = [
    (("who",), "user, text, topic"),
    (("who=said",), "user, text, topic"),
    (("tittle=said",), "the fields are title, "),
    (("",), "FIELD=COLUMN"),
    (("user=who.name,text=said,text=stars",), "text twice, as 'said' and as 'stars'"),
    (("user=who.name", "USER=who.id,text=said"), "USER twice"),
    (("user=nobody,text=said",), "no column nobody: its columns are who"),
    (("user=who.name,text=sade",), "no column sade: its columns are said, who"),
    (("user=who.nam,text=said",), "no column who.nam: its columns are who.Name, "),
    (("user=who.name.first,text=said",), "no column who.name.first"),
    (("user=who.name,text=said.first",), "no column said.first"),
    (("user=who.name,text=said,topic=tags.a",), "no column tags.a"),
    (("user=who.name,text=said,topic=tags.0.a",), "no column tags.0.a"),
    (("user=who.name,text=",), "leaves out text"),
    (("user=,text=said",), "leaves out user"),
]


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "wrapped"])
def test_a_wrong_map_is_refused_by_name(
    tmp_path: Path, subtests: pytest.Subtests, kind: str
) -> None:
    path = tmp_path / "a.file"
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist([PERSON] * 3), path)
    else:
        whole = {"json": [PERSON] * 3, "wrapped": {"rows": [PERSON] * 3}}.get(kind)
        path.write_text(lines(*[PERSON] * 3) if whole is None else json.dumps(whole))
    for wrong, says in WRONG_MAPS:
        with subtests.test(wrong=wrong):
            maps = [word for each in wrong for word in ("--map", each)]
            result = run(path, "--store", tmp_path / "s", *maps)
            assert (result.exit_code, result.stdout) == (2, "")
            assert says in result.stderr and result.stderr.count("\n") == 1
            assert [each.name for each in tmp_path.iterdir()] == ["a.file"]
    right = run(path, "--store", tmp_path / "s", "--map", "user=who.name,TEXT=Said,topic=WHO.ID")
    assert right.exit_code == 0 and "3 rows" in right.stdout


def test_a_map_of_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("poster,post text,a.b\nana,Soup.,t1\n")
    result = run(path, "--store", tmp_path / "s", "--map", "user=poster,text=post")
    assert result.exit_code == 2 and "its columns are poster, post text, a.b" in result.stderr
    result = run(path, "--store", tmp_path / "s", "--map", "user=poster,text=post text,topic=a.c")
    assert result.exit_code == 2 and "its columns are a.b, " in result.stderr
    mapped = ("--map", "user=poster,text=post text,topic=a.b")
    assert run(path, "--store", tmp_path / "s", *mapped).exit_code == 0


def write_lines(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rated(*ratings: object) -> list[dict[str, object]]:
    return [
        {"user_id": f"u{place % 3}", "topic": "tt1", "rating": rating, "text": f"Film no. {place}."}
        for place, rating in enumerate(ratings)
    ]


@pytest.mark.parametrize(
    "ratings", [range(1, 11), (0.5, 3, 5), (20, 100), ("8/10", "9/10"), (4, 5, 6)]
)
def test_no_half_of_the_ratings_is_kept(tmp_path: Path, ratings: list[object]) -> None:
    """Never the low half of them, each with a wrong rating."""
    path, store = write_lines(tmp_path / "films.jsonl", *rated(*ratings)), tmp_path / "store"
    result = run(path, "--store", store, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1 and "--rating-scale" in result.stderr
    assert not store.exists()


def test_a_named_scale_is_kept_with_the_store(tmp_path: Path) -> None:
    store = tmp_path / "store"
    path = write_lines(tmp_path / "films.jsonl", *rated(*range(11)))
    found = json.loads(run(path, "--store", store, "--rating-scale", "0-10", "--json").stdout)
    assert (found["added"], found["rejected"], found["rating_scale"]) == (11, 0, "0-10")
    assert found["noted"] == {}, "0 is a rating on this scale"
    again = run(path, "--store", store, "--rating-scale", "0-10", "--json")
    assert json.loads(again.stdout)["duplicates"] == 11
    for options in ((), ("--rating-scale", "1-5"), ("--rating-scale", "0-100")):
        five = write_lines(tmp_path / "five.jsonl", *rated(1, 5))
        result = run(five, "--store", store, *options)
        assert result.exit_code == 1 and "0-10" in result.stderr


def test_a_dry_run_knows_the_scale_of_the_store(tmp_path: Path) -> None:
    store, ten = tmp_path / "store", write_lines(tmp_path / "ten.jsonl", *rated(1, 10))
    five = write_lines(tmp_path / "five.jsonl", *rated(5))
    unrated = write_lines(tmp_path / "unrated.jsonl", *rated(None))
    for file, scale, exit_code in (
        (five, "auto", 0),  # there is no store
        (ten, "1-10", None),
        (five, "auto", 1),
        (five, "1-10", 0),
        (unrated, "auto", 0),
        (unrated, "0-5", 1),
    ):
        options = ("--store", store, "--rating-scale", scale, "--json")
        if exit_code is None:
            assert run(file, *options).exit_code == 0
            continue
        held = sorted(store.rglob("*"))
        result = run(file, *options, "--dry-run")
        assert (result.exit_code, json.loads(result.stdout)["rows"]) == (exit_code, 1)
        assert exit_code == 0 or (result.stderr.count("\n") == 1 and "1-10" in result.stderr)
        assert sorted(store.rglob("*")) == held, "nothing is written"


def test_the_same_text_under_two_ids_of_a_source_is_told(tmp_path: Path) -> None:
    row = {"user_id": "u", "text": "A fine lamp.", "review_id": "r1"}
    path = write_lines(tmp_path / "a.jsonl", row, {**row, "review_id": "r2"})
    found = json.loads(run(path, "--store", tmp_path / "store", "--json").stdout)
    assert (found["added"], found["duplicates"], found["other_ids"]) == (1, 1, 1)
    path = write_lines(tmp_path / "a.jsonl", {**row, "review_id": "r3"})
    assert "another id" in run(path, "--store", tmp_path / "store").stdout


def test_a_single_wrong_rating_is_a_reject(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", *rated(*[4] * 150, 7))
    found = json.loads(run(path, "--store", tmp_path / "store", "--json").stdout)
    assert (found["added"], found["rejected"]) == (150, 1)
    # Where the scale is said, any number of them.
    path = write_lines(tmp_path / "b.jsonl", *rated(1, 7, 8, 9))
    result = run(path, "--store", tmp_path / "b", "--rating-scale", "1-5", "--json")
    assert (json.loads(result.stdout)["rejected"], result.exit_code) == (3, 0)


def test_a_wrong_scale_is_told(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", *rated(1))
    for wrong in ("5", "five", "5-1"):
        result = run(path, "--store", tmp_path / "store", "--rating-scale", wrong)
        assert result.exit_code == 2 and "0-10" in result.stderr


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    rows = rated(0, 0.0, "good", 5)
    rows[3] |= {"timestamp": "05/01/2024", "target": 4}
    path = write_lines(tmp_path / "a.jsonl", *rows)
    found = json.loads(run(path, "--store", tmp_path / "store", "--json").stdout)
    assert found["added"] == 4
    assert found["noted"] == {
        "rating_zero": 2,
        "rating_unreadable": 1,
        "timestamp_unreadable": 1,
        "target_unreadable": 1,
    }
    said = run(path, "--store", tmp_path / "store").stdout
    assert "2 texts are kept without their rating" in said
    assert "1 texts are kept without their target" in said


def test_a_changed_review_replaces_the_former(tmp_path: Path) -> None:
    store, review = tmp_path / "store", {"review_id": "r1", "user_id": "u1", "text": "It is grate."}
    write_lines(tmp_path / "a.jsonl", review, {**review, "review_id": "r2", "text": "Other."})
    assert json.loads(run(tmp_path / "a.jsonl", "--store", store, "--json").stdout)["added"] == 2
    write_lines(tmp_path / "a.jsonl", {**review, "text": "It is great.", "rating": 4}, review)
    found = json.loads(run(tmp_path / "a.jsonl", "--store", store, "--json").stdout)
    # The unchanged row stands in the file, too, so its id names no single text.
    assert (found["added"], found["duplicates"], found["replaced"]) == (1, 1, 0)
    write_lines(tmp_path / "b.jsonl", {**review, "review_id": "r2", "text": "Another."})
    found = json.loads(run(tmp_path / "b.jsonl", "--store", store, "--json").stdout)
    assert (found["added"], found["replaced"]) == (1, 1)


def test_the_same_text_under_two_ids_is_told(tmp_path: Path) -> None:
    body = "I bought this lamp in the autumn and it has worked without any fault ever since then."
    rows = [{"user_id": user, "text": body} for user in ("ann", "ann", "bob", "cat")]
    rows += [{"user_id": user, "text": "Good."} for user in ("ann", "bob")]
    path = write_lines(tmp_path / "a.jsonl", *rows)
    assert json.loads(run(path, "--store", tmp_path / "s", "--json").stdout)["same_text"] == 2


@pytest.mark.parametrize(
    "name", ["we[red]ird.jsonl", "[bold]a.jsonl", "\u00e9t\u00e9 :smile:.jsonl"]
)
def test_the_name_of_a_file_is_printed_as_it_is(tmp_path: Path, name: str) -> None:
    path = write_lines(tmp_path / name, *rated(4))
    assert f"of {name}:" in run(path, "--store", tmp_path / "store").stdout
    assert f"of {name} (" in run(path, "--store", tmp_path / "store", "--dry-run").stdout


@pytest.mark.parametrize(
    "content", ["user_id,text\n", "user\ttext\trating\n", "user_id,text\nann,\n"]
)
def test_a_file_without_a_row_keeps_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    result = run(tmp_path / "a.csv", "--store", tmp_path / "store", "--json")
    assert (result.exit_code, json.loads(result.stdout)["added"]) == (1, 0)


def test_a_time_of_zero_is_a_missing_time_and_told(tmp_path: Path) -> None:
    path, store = tmp_path / "a.jsonl", tmp_path / "s"
    times = [0, "0", 1_714_521_600, "", None]
    rows = [{"user": "u_1", "text": f"Text {n}.", "time": time} for n, time in enumerate(times)]
    path.write_text(lines(*rows))
    shown = run(path, "--store", store, "--dry-run").stdout
    assert "2 texts are kept without their time" in shown
    found = json.loads(run(path, "--store", store, "--json").stdout)
    assert (found["added"], found["noted"]) == (5, {"timestamp_zero": 2})
    assert "2 texts are kept without their time" in run(path, "--store", store).stdout


def test_sql_time_of_never_is_shown_as_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,text,time\nana,A lamp.,9999-12-31 23:59:59.999999\n")
    result = run(tmp_path / "a.csv", "--store", tmp_path / "store", "--dry-run")
    assert result.exit_code == 0 and "1 texts are kept without their time" in result.stdout


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0, "1970-01-01 00:00"),
        (253_402_300_799_999, "9999-12-31 23:59"),
        (253_402_300_800_000, "253402300800000 ms"),
        (-(2**63), "-9223372036854775808 ms"),
    ],
)
def test_any_date_is_shown(milliseconds: int, shown: str) -> None:
    assert date_of(milliseconds) == shown


@pytest.mark.parametrize("file", ["", " "])
def test_an_empty_path_is_not_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    (tmp_path / "a.csv").write_text("user,text\nana,A lamp.\n")
    monkeypatch.chdir(tmp_path)
    result = call("ingest", file, "--store", tmp_path / "store", "--dry-run")
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert run(".", "--store", tmp_path / "store", "--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("rows", "options", "code"),
    [
        (rated(*range(1, 11)), (), 1),  # on another scale
        (rated(*range(1, 11)), ("--rating-scale", "1-10"), 0),
        (rated(*[4] * 150, 7), (), 0),  # one mistake
        (rated(*[4] * 150, 7), ("--strict",), 1),
        ([{"user_id": "", "text": "Fine."}], (), 1),  # nothing to store
    ],
)
def test_a_dry_run_ends_as_the_ingest_does(
    tmp_path: Path, rows: list[dict[str, object]], options: tuple[str, ...], code: int
) -> None:
    path = write_lines(tmp_path / "a.jsonl", *rows)
    words = (path, "--store", tmp_path / "store", *options)
    dry = run(*words, "--dry-run")
    assert dry.exit_code == code and not (tmp_path / "store").exists()
    ends = set()
    for most in (3, 1_000):
        found = preview(read_texts(path), strict="--strict" in options, most_rows=most)
        ends.add((found.stores_nothing, found.rejects or "--strict" not in options))
    assert len(ends) == 1
    done = run(*words)
    assert done.exit_code == code
    question = "name their scale"
    assert (question in dry.stderr) is (question in done.stderr)
