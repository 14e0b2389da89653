"""Records of runs survive being killed at any byte, and a forgotten user is gone from them."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from patlm.stores.episode_schema import (
    Episode,
    EvidenceRecord,
    IterationRecord,
    Message,
    Sample,
)
from patlm.stores.episodes import (
    DamagedLine,
    EpisodeWriter,
    UnknownEpisodeVersion,
    forget_episodes,
    read_episodes,
)
from pydantic import ValidationError


def evidence(user_id: str) -> EvidenceRecord:
    return EvidenceRecord(
        text_id="0" * 20, user_id=user_id, body=f"words of {user_id}", score=0.5, reason="near"
    )


def record(
    run_id: str,
    user_id: str = "asker",
    *,
    lender: str = "lender",
    own: str | None = None,
    namespace: str = "default",
    day: int = 1,
) -> Episode:
    call = Sample(
        node="style-reason",
        iteration=1,
        role="style",
        model="tiny",
        messages=(Message(role="user", content="Grüße — 🙂\nline"),),
        text="Short sentences.",
        seconds=0.1,
    )
    iteration = IterationRecord(
        iteration=1,
        evidence={"style": (evidence(lender),), "preference": ()},
        summaries={"style": "Short sentences.", "preference": None},
        draft="A draft.",
        score=0.25,
        kept=True,
    )
    return Episode(
        run_id=run_id,
        created=datetime(2025, 3, day, 23, 59, tzinfo=UTC),
        namespace=namespace,
        request={"user_id": user_id, "task": "long", "title": "Title"},
        samples=(call,),
        iterations=(iteration,),
        own=(evidence(own),) if own else (),
        confidence={"style": 0.5},
        text="A draft.",
    )


def run_ids(path: Path) -> list[str]:
    return [found.run_id for found in read_episodes(path)]


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path / "traces")
    records = [record("r1"), record("r2", day=2), record("r3")]
    for each in records:
        writer.append(each)
    shards = sorted(path.name for path in writer.folder.glob("*.jsonl"))
    assert shards == ["traces-20250301.jsonl", "traces-20250302.jsonl"]
    assert list(read_episodes(writer.folder)) == [records[0], records[2], records[1]]
    assert list(read_episodes(writer.folder / shards[1])) == [records[1]]


def test_a_record_is_frozen_and_refuses_what_it_does_not_know() -> None:
    kept = record("r1")
    with pytest.raises(ValidationError):
        kept.text = "another"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Episode.model_validate({**kept.model_dump(), "rewards": []})


def test_a_writer_killed_at_any_byte_costs_one_record(tmp_path: Path) -> None:
    before, whole = (record(name).model_dump_json().encode() + b"\n" for name in ("before", "torn"))
    for cut in range(len(whole) + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        writer, shard = EpisodeWriter(folder), folder / "traces-20250301.jsonl"
        shard.write_bytes(before + whole[:cut])
        damaged: list[DamagedLine] = []
        # The object may be whole with only its line's end missing.
        expected = ["before", "torn"] if cut >= len(whole) - 1 else ["before"]
        assert [each.run_id for each in read_episodes(folder, report=damaged.append)] == expected
        assert [(each.path, each.line) for each in damaged] == (
            [(shard, 2)] if 0 < cut < len(whole) - 1 else []
        )
        writer.append(record("after"))
        assert run_ids(folder) == [*expected, "after"]


def test_damage_is_told_with_file_and_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shard = tmp_path / "traces-20250301.jsonl"
    good = record("r1").model_dump_json()
    wrong = json.dumps({**json.loads(good), "samples": "none"})
    shard.write_bytes(f"{good}\n[1]\n\n{wrong}\n".encode() + b"\xff\xfe\n" + good[:30].encode())
    damaged: list[DamagedLine] = []
    assert len(list(read_episodes(shard, report=damaged.append))) == 1
    assert [each.line for each in damaged] == [2, 4, 5, 6]
    assert "no record of version 2: samples: " in damaged[1].reason
    assert damaged[3].reason == "not a JSON object, torn off at the end of the file"
    assert str(damaged[0]) == f"{shard}:2: not a JSON object"
    list(read_episodes(shard))
    assert f"{shard}:2: not a JSON object" in caplog.text


@pytest.mark.parametrize("version", [3, "1", None, [1]])
def test_an_unknown_version_is_a_clear_error(tmp_path: Path, version: object) -> None:
    content = {**json.loads(record("r1").model_dump_json()), "version": version}
    shard = tmp_path / "traces.jsonl"
    shard.write_text(json.dumps(content) + "\n")
    with pytest.raises(
        UnknownEpisodeVersion, match=r"traces.jsonl:1: expected a record of version"
    ):
        list(read_episodes(shard))


def test_nothing_there_is_an_error_and_an_empty_folder_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no traces at"):
        list(read_episodes(tmp_path / "none"))
    assert run_ids(tmp_path) == []


def append_many(folder: Path, name: str) -> None:
    writer = EpisodeWriter(folder)
    for number in range(20):
        writer.append(record(f"{name}-{number}"))


def test_processes_never_mix_their_lines(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    names = ("a", "b", "c")
    workers = [context.Process(target=append_many, args=(tmp_path, name)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = run_ids(tmp_path)
    assert len(found) == 60
    for name in names:
        assert [each for each in found if each.startswith(name)] == [
            f"{name}-{number}" for number in range(20)
        ]


def test_forgetting_takes_every_record_that_holds_something_of_the_user(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path)
    for each in (
        record("asked", "gone"),
        record("lent", lender="gone", day=2),
        record("own", own="gone", day=2),
        record("stays", day=2),
        record("alone on its day", "gone", day=3),
        record("another tenant's", "gone", namespace="other"),
    ):
        writer.append(each)
    with (tmp_path / "traces-20250302.jsonl").open("ab") as file:
        file.write(b'{"torn": "words of gone')
    before = b"".join(path.read_bytes() for path in tmp_path.glob("*.jsonl"))
    assert forget_episodes(tmp_path, "default", "gone", dry_run=True) == 4
    assert b"".join(path.read_bytes() for path in tmp_path.glob("*.jsonl")) == before
    assert forget_episodes(tmp_path, "default", "gone") == 4
    assert run_ids(tmp_path) == ["another tenant's", "stays"]
    assert not (tmp_path / "traces-20250303.jsonl").exists()
    left = [path for path in tmp_path.iterdir() if b"words of gone" in path.read_bytes()]
    assert left == []  # the other tenant's record has the id, but no text of this user
    assert forget_episodes(tmp_path, "default", "gone") == 0
    writer.append(record("back", "gone"))
    assert "back" in run_ids(tmp_path)


def test_forgetting_knows_records_of_later_versions_too(tmp_path: Path) -> None:
    later = {"version": 9, "namespace": "default", "groups": [{"from": [{"user_id": "gone"}]}]}
    shard = tmp_path / "traces.jsonl"
    shard.write_text(json.dumps(later) + "\n")
    assert forget_episodes(tmp_path, "default", "gone") == 1
    assert not shard.exists()


def test_forgetting_where_nothing_was_traced(tmp_path: Path) -> None:
    assert forget_episodes(tmp_path / "none", "default", "gone") == 0
    assert not (tmp_path / "none").exists()


def test_what_a_killed_forgetting_left_is_removed(tmp_path: Path) -> None:
    EpisodeWriter(tmp_path).append(record("stays"))
    remains = tmp_path / "traces-20250301.jsonl.tmp"
    remains.write_text("words of gone")
    assert run_ids(tmp_path) == ["stays"]
    forget_episodes(tmp_path, "default", "gone")
    assert not remains.exists()
