"""`patlm collect` over a planted data set, with a model that reads what it is shown."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from collecting import episodes, timeless
from patlm.cli.main import app
from patlm.evaluation.dataset import BenchmarkData, open_benchmark, read_benchmark
from patlm.graph import open as opening
from patlm.stores.datasets.splits import SPLITS
from planted import write_planted
from store_fixtures import cheap_encoders
from typer.testing import CliRunner

KEYS = {"targets", "episodes", "samples", "failed", "seconds", "batch_fill", "shards"}


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    return write_planted(tmp_path / "planted.jsonl")


def call(data: Path, *options: str) -> Result:
    folder = data.parent
    given = ["--data", str(data), "--out", str(folder / "E"), "--store", str(folder / "stores")]
    model = [] if "--model" in options else ["--model", "python:planted:reading_model"]
    adapters = [] if "--adapters" in options else ["--adapters", "none"]
    return CliRunner().invoke(app, ["collect", *given, *model, *adapters, *options])


def report_of(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(done: Result, code: int = 1) -> str:
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    (line,) = done.stderr.strip().splitlines()[-1:]
    return line


def foreign_words(data: BenchmarkData) -> set[str]:
    """Return the made-up words of texts whose user or topic may not train anything."""
    may_train = data.splits.may_train
    fit = [may_train(text.user_id, text.topic_id) for text in data.texts]
    bodies = [text.body.lower().split() for text in data.texts]
    allowed = {word for body, fits in zip(bodies, fit, strict=True) if fits for word in body}
    return {
        word for body, fits in zip(bodies, fit, strict=True) if not fits for word in body
    } - allowed


def test_nothing_of_gate_or_report_stands_in_an_episode(planted: Path) -> None:
    data = read_benchmark(planted)
    foreign = foreign_words(data)
    assert len(foreign) > 200  # five words of each text, of 144 texts most of which may not train
    report = report_of(call(planted, "--candidates", "2", "--json"))
    kept = episodes(planted.parent / "E")
    assert len(kept) == report["targets"] == report["episodes"] > 5
    prompts = 0
    for episode in kept:
        users = {episode.request["user_id"]} | {piece.user_id for piece in episode.own}
        topics = {episode.request["topic_id"]} | {piece.topic_id for piece in episode.own}
        for each in episode.iterations:
            for pieces in each.evidence.values():
                users |= {piece.user_id for piece in pieces}
                topics |= {piece.topic_id for piece in pieces}
        assert {data.splits.of_user(user) for user in users} == {"train"}
        assert {data.splits.of_topic(topic) for topic in topics} == {"train"}
        assert episode.target is not None and foreign.isdisjoint(
            episode.target.real.lower().split()
        )
        for sample in episode.samples:
            prompts += 1
            for turn in sample.messages:
                assert foreign.isdisjoint(turn.content.lower().split())
    assert prompts == report["samples"]


async def test_a_store_of_train_alone_is_another_than_that_of_all(
    planted: Path, tmp_path: Path
) -> None:
    data = read_benchmark(planted)
    fit = [t for t in data.texts if data.splits.may_train(t.user_id, t.topic_id)]
    assert 0 < len(fit) < len(data.texts)
    for train_only, texts in ((True, len(fit)), (False, len(data.texts)), (True, len(fit))):
        opened = open_benchmark(data, tmp_path / "c", train_only=train_only)
        async with opened as (store, _):
            assert (await store.stats()).texts == texts
    assert len(list((tmp_path / "c").iterdir())) == 2


def test_nothing_may_be_learnt_from_what_is_measured_on(planted: Path) -> None:
    for split in (*(name for name in SPLITS if name != "train"), "all"):
        line = refused(call(planted, "--split", split))
        assert f"the split '{split}' can't be used" in line
        assert "collect from train" in line
    assert not (planted.parent / "E").exists()


def test_it_says_what_it_has_brought_and_goes_on_where_it_was(planted: Path) -> None:
    first = report_of(call(planted, "--candidates", "2", "--limit", "3", "--json"))
    assert KEYS <= first.keys()
    assert (first["targets"], first["episodes"], first["failed"]) == (3, 3, 0)
    before = [timeless(episode) for episode in episodes(planted.parent / "E")]
    more = call(planted, "--candidates", "2", "--limit", "5")
    assert more.exit_code == 0, more.output
    assert re.match(r"5 episodes of 5 targets \(3 ", more.stdout)
    assert "mean reward" in more.stdout
    assert "5 targets, 3 already done" in more.stderr
    after = [timeless(episode) for episode in episodes(planted.parent / "E")]
    assert after[:3] == before and len(after) == 5


def test_what_cannot_be_collected_is_said_in_a_line(planted: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.txt"
    foreign.write_text("no rows here")
    assert "cannot tell the format of foreign.txt" in refused(call(foreign))
    failing = call(planted, "--model", "python:planted:failing_model", "--limit", "2")
    assert "all 2 runs failed and are kept as failed; the first:" in refused(failing)
    assert all(episode.error for episode in episodes(tmp_path / "E"))
    assert "adapter" in refused(call(planted, "--adapters", "style@9"))
    assert "no side habits" in refused(call(planted, "--sides", "habits"), 2)
    assert "at least 1 candidate" in refused(call(planted, "--candidates", "0"), 2)
    both = refused(call(planted, "--reasoner", "extractive", "--candidates", "3"), 2)
    assert "set candidates to 0" in both
    for wrong in (["--task", "poem"], ["--history", "some"], ["--reasoner", "me"]):
        assert call(planted, *wrong).exit_code == 2
