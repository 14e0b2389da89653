"""Records of runs survive being killed at any byte, and a forgotten user is gone from them."""

import errno
import json
import multiprocessing
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from patlm.stores.episodes.feedback import NoSuchRun, give_feedback
from patlm.stores.episodes.redaction import forget_episodes
from patlm.stores.episodes.schema import (
    Episode,
    EvidenceRecord,
    Feedback,
    IterationRecord,
    Message,
    Sample,
    TargetRecord,
)
from patlm.stores.episodes.shards import (
    COLLECTED,
    EpisodeWriter,
    UnknownEpisodeVersion,
    read_episodes,
)
from patlm.stores.files import DamagedLine
from raising import raises


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
        messages=(Message(role="user", content=f"Grüße — 🙂\nwords of {own or lender}"),),
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


@pytest.mark.parametrize("step", [19, pytest.param(1, marks=pytest.mark.slow)])
def test_a_writer_killed_at_any_byte_costs_one_record(tmp_path: Path, step: int) -> None:
    before, whole = (record(name).model_dump_json().encode() + b"\n" for name in ("before", "torn"))
    ends = (1, len(whole) - 2, len(whole) - 1, len(whole))
    for cut in sorted({*range(0, len(whole), step), *ends}):
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
    assert "record of version 2: samples: " in damaged[1].reason
    assert damaged[3].reason == "not a JSON object, torn off at the end of the file"
    assert str(damaged[0]) == f"{shard}:2: not a JSON object"
    list(read_episodes(shard))
    assert f"{shard}:2: not a JSON object" in caplog.text


@pytest.mark.parametrize("version", [3, "1", None, [1]])
def test_an_unknown_version_is_a_clear_error(tmp_path: Path, version: object) -> None:
    content = {**json.loads(record("r1").model_dump_json()), "version": version}
    shard = tmp_path / "traces.jsonl"
    shard.write_text(json.dumps(content) + "\n")
    with raises(UnknownEpisodeVersion, "episode_version", "traces.jsonl:1"):
        list(read_episodes(shard))


def test_nothing_there_is_an_error_and_an_empty_folder_is_none(tmp_path: Path) -> None:
    with raises(FileNotFoundError, None, tmp_path / "none"):
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


def test_feedback_is_joined_to_its_run(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path)
    writer.append(record("r1"))
    writer.append(record("r2", day=2))
    morning = Feedback(run_id="r1", created=datetime(2025, 3, 4, 8, tzinfo=UTC), accepted=False)
    noon = Feedback(run_id="r1", created=datetime(2025, 3, 4, 12, tzinfo=UTC), edited="Grüße\n!")
    for said in (morning, noon):
        give_feedback(tmp_path, said)
    first, second = read_episodes(tmp_path)
    assert (first.feedback, second.feedback) == ((morning, noon), ())
    (alone,) = read_episodes(tmp_path / "traces-20250301.jsonl")
    assert alone.feedback == (morning, noon), "feedback that lies beside a shard is read too"
    assert (tmp_path / "feedback-20250304.jsonl").exists()


def test_feedback_is_for_runs_that_are_there(tmp_path: Path) -> None:
    said = Feedback(run_id="r1", accepted=True)
    with raises(NoSuchRun, "no_such_run", "r1", tmp_path / "none"):
        give_feedback(tmp_path / "none", said)
    assert not (tmp_path / "none").exists()
    for name in ("r10", "gone"):
        EpisodeWriter(tmp_path).append(record(name, name, namespace="a"))
    with raises(NoSuchRun, "no_such_run", "r1"):
        give_feedback(tmp_path, said)
    with raises(NoSuchRun, "no_such_run", "r10"):
        give_feedback(tmp_path, said.model_copy(update={"run_id": "r10"}), namespace="b")
    give_feedback(tmp_path, said.model_copy(update={"run_id": "r10"}), namespace="a")
    forget_episodes(tmp_path, "a", "gone")
    with raises(NoSuchRun, "emptied_run", "gone"):
        give_feedback(tmp_path, said.model_copy(update={"run_id": "gone"}))


def test_a_record_of_version_1_is_read(tmp_path: Path) -> None:
    content = json.loads(record("old").model_dump_json())
    known = ("node", "iteration", "role", "adapter", "model", "messages", "text", "seconds")
    calls = [{name: call[name] for name in known} for call in content["samples"]]
    later = ("samples", "groups", "target", "split", "store", "settings", "redacted", "feedback")
    old = {name: value for name, value in content.items() if name not in later}
    shard = tmp_path / "traces-20250301.jsonl"
    shard.write_text(json.dumps({**old, "version": 1, "calls": calls}) + "\n")
    (found,) = read_episodes(shard)
    without_id = record("old").samples[0].model_copy(update={"id": ""})
    assert found == record("old").model_copy(update={"samples": (without_id,)})


def words_found(folder: Path, *words: str) -> list[tuple[str, str]]:
    """Return which words stand in which files of a folder, in its bytes."""
    return [
        (path.name, word)
        for path in folder.iterdir()
        for word in words
        if word.encode() in path.read_bytes()
    ]


def test_forgetting_empties_every_record_that_holds_something_of_the_user(tmp_path: Path) -> None:
    writer, collected = EpisodeWriter(tmp_path), EpisodeWriter(tmp_path, COLLECTED)
    goes = [
        record("asked", "gone"),
        record("lent", lender="gone", day=2),
        record("own", own="gone", day=2),
    ]
    for each in (*goes, record("stays", day=2), record("other tenant's", "gone", namespace="b")):
        writer.append(each)
    alone = record("alone on its day", "gone", day=3)
    target = TargetRecord(id="t1", data="d", real="the real words of gone")
    collected.append(alone.model_copy(update={"target": target}))
    for run, edited in (("asked", "gone corrected this"), ("stays", "asker corrected this")):
        give_feedback(tmp_path, Feedback(run_id=run, edited=edited))
    with (tmp_path / "traces-20250302.jsonl").open("ab") as file:
        file.write(b'{"torn": "words of gone')
    before = {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")}

    assert forget_episodes(tmp_path, "default", "gone", dry_run=True) == 4
    assert {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")} == before
    read_only = tmp_path / "copy"
    shutil.copytree(tmp_path, read_only, ignore=lambda *_: [".traces.lock"])
    files = sorted(read_only.iterdir())
    assert forget_episodes(read_only, "default", "gone", dry_run=True) == 4
    assert sorted(read_only.iterdir()) == files, "not even a lock"
    shutil.rmtree(read_only)
    assert forget_episodes(tmp_path, "default", "gone") == 4

    # The other tenant's record has the id, but no text of this user.
    texts = ("words of gone", "the real words", "gone corrected this")
    assert words_found(tmp_path, *texts) == []
    assert words_found(tmp_path, "asker corrected this") != []
    left = {each.run_id: each for each in read_episodes(tmp_path)}
    assert len(left) == 6, "as many records as before"
    assert left["stays"].feedback[0].edited == "asker corrected this"
    assert left["stays"].model_copy(update={"feedback": ()}) == record("stays", day=2)
    for each in (*goes, alone):
        empty = left[each.run_id]
        assert (empty.created, empty.namespace) == (each.created, each.namespace)
        assert empty.redacted is not None and empty.redacted > datetime(2025, 3, 3, tzinfo=UTC)
        emptied = {name: field.get_default(call_default_factory=True) for name, field in
                   Episode.model_fields.items() if not field.is_required()}  # fmt: skip
        emptied |= {"run_id": each.run_id, "namespace": "default", "request": {}}
        for name, value in emptied.items():
            assert name in ("created", "redacted") or vars(empty)[name] == value, name

    assert forget_episodes(tmp_path, "default", "gone") == 0
    writer.append(record("back", "gone"))
    assert "back" in run_ids(tmp_path)


def test_feedback_that_came_after_the_forgetting_is_removed_by_the_next(tmp_path: Path) -> None:
    EpisodeWriter(tmp_path).append(record("asked", "gone"))
    forget_episodes(tmp_path, "default", "gone")
    late = Feedback(run_id="asked", edited="words of gone").model_dump_json()
    (tmp_path / "feedback-20250301.jsonl").write_text(late + "\n")
    assert forget_episodes(tmp_path, "default", "gone") == 0
    assert words_found(tmp_path, "words of gone") == []
    assert list(tmp_path.glob("feedback-*")) == []


def test_a_record_that_a_killed_forgetting_did_not_reach_is_reached_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (1, 2):
        EpisodeWriter(tmp_path).append(record(f"r{day}", "gone", own="gone", day=day))
    give_feedback(tmp_path, Feedback(run_id="r2", edited="words of gone"))
    whole = os.replace
    done: list[object] = []

    def once(old: Path, new: Path) -> None:
        if done:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(new)
        whole(old, new)

    monkeypatch.setattr("patlm.stores.files.os.replace", once)
    with pytest.raises(OSError) as full:
        forget_episodes(tmp_path, "default", "gone")
    assert full.value.errno == errno.ENOSPC
    assert run_ids(tmp_path) == ["r1", "r2"], "what was not emptied is whole"
    assert list(tmp_path.glob("*.tmp")) == []
    monkeypatch.undo()
    assert forget_episodes(tmp_path, "default", "gone") == 1
    assert words_found(tmp_path, "words of gone", "gone") == []


def test_forgetting_knows_records_of_other_versions(tmp_path: Path) -> None:
    later = {"version": 9, "namespace": "default", "groups": [{"from": [{"user_id": "gone"}]}]}
    old = {"version": 1, "run_id": "r1", "namespace": "default", "request": {"user_id": "gone"}}
    for version, content in (("later", later), ("old", old)):
        (tmp_path / f"{version}.jsonl").write_text(json.dumps(content) + "\n")
    assert forget_episodes(tmp_path, "default", "gone") == 2
    emptied = json.loads((tmp_path / "later.jsonl").read_text())
    assert (emptied["version"], emptied["request"]) == (9, {}) and "groups" not in emptied
    (read,) = read_episodes(tmp_path / "old.jsonl")
    assert (read.run_id, read.request) == ("r1", {}) and read.redacted is not None
