"""`patlm ingest`: one object on stdout, one line for an error, nothing written of a wrong file."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import typer
from click.testing import Result
from patlm.cli.texts import ingest
from patlm.stores.datasets.formats import FORMATS
from patlm.stores.datasets.readers.rows import Advance, DataFile, Format, Raw
from patlm.stores.datasets.validation import Reject
from patlm.stores.texts.store import TextStore
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
        "warning: 3 of 12 rows rejected, the first in line 1: no text; "
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
    ("name", "content", "options", "message"),
    [
        ("a.txt", "Dear all", (), "cannot tell the format of a.txt"),
        ("a.jsonl", None, (), "no such file"),
        ("a.jsonl", '{"user": "u", "text": "a"}', ("--format", "xml"), "unknown format 'xml'"),
        ("a.jsonl", '{"user": "u"}', ("--rejects", "a.jsonl"), "--rejects"),
    ],
)
def test_a_wrong_file_is_one_line_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: str | None,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_text(content)
    result = run(name, "--store", "store", "--json", *options)
    assert result.exit_code == 1
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
