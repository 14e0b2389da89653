"""The rounds for real, with a tiny random model: retrieval, collecting, TRL, adapters, measuring.

What is looked at is that all parts fit and that a run goes on where it was; a random model of a few
thousand weights does not write better for being trained on two dozen texts.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from patlm.graph.settings import Settings
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.training.rounds.plan import RoundsPlan
from patlm.training.rounds.stages import TrainingStopped, run_whole_rounds
from planted import write_planted
from raising import raises
from tiny_models import tiny_llama, tiny_tokenizer

pytestmark = [pytest.mark.bundled, pytest.mark.slow]  # bundled: the topic encoder


class Said:
    """A `Watch` that remembers."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.begun: list[tuple[str, int]] = []

    def say(self, part: str) -> None:
        self.parts.append(part)

    def begin(self, items: int, done: int, things: str) -> None:
        self.begun.append((self.parts[-1], items))

    def advance(self, item: object) -> None: ...


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rounds")
    write_planted(folder / "planted.jsonl", people=48)
    tokenizer = tiny_tokenizer()
    tiny_llama(len(tokenizer), 2048).save_pretrained(folder / "tiny")
    tokenizer.save_pretrained(folder / "tiny")
    return folder


def plan(place: Path, *stages: str) -> RoundsPlan:
    return RoundsPlan(
        place / "planted.jsonl",
        stages=stages,
        warm_up_targets=24,
        reasoner_examples=20,
        targets=6,
        candidates=3,
        gate_targets=4,
        report_targets=6,
    )


def run(place: Path, *stages: str, out: str = "R", work: str = "W") -> tuple[Any, Said]:
    said = Said()
    settings = Settings(model=str(place / "tiny"), dtype="fp32")
    found = run_whole_rounds(plan(place, *stages), settings, place / out, place / work, said)
    return found, said


@pytest.fixture(scope="module")
def whole_run(place: Path) -> tuple[Any, Said]:
    return run(place, "untrained", "warm_up", "style", "preference", "final")


@pytest.fixture(scope="module")
def whole(whole_run: tuple[Any, Said]) -> Any:
    return whole_run[0]


def test_every_stage_is_measured_on_the_same_targets(whole: Any) -> None:
    rows = {row["stage"]: row for row in whole["stages"]}
    assert list(rows) == [
        *("copy_best", "copy_typical", "untrained", "no_context", "warm_up"),
        *("style_1", "preference_1", "final", "final_two_iterations"),
    ]
    assert {row["n"] for row in rows.values()} == {6}


def test_the_registry_holds_what_was_trained_with_its_parents(place: Path, whole: Any) -> None:
    registry = AdapterRegistry(place / "R" / "adapters" / "planted-long")
    kept = {adapter.name: adapter.manifest for adapter in registry.adapters()}
    assert set(kept) == {*("integrate@1", "style@1", "style@2", "preference@1", "preference@2")}
    best = whole["rounds"][1]["against"]  # what the style round went on from
    assert kept["style@2"].parent == ("style@1" if best == "warm_up" else None)
    assert {manifest.split for manifest in kept.values()} == {whole["split"]}
    assert registry.promoted() == whole["promoted"]
    for name in kept:
        assert (place / "R" / "curves" / "planted-long" / name / "curves.json").is_file()


def test_results_hold_no_text_of_anybody(place: Path, whole: Any) -> None:
    texts = [json.loads(line) for line in (place / "planted.jsonl").read_text().splitlines()]
    for file in (place / "R").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [t for t in texts if t["text"].encode() in content], file
            assert b"person 1 of many" not in content, file


def test_a_later_stage_goes_on_from_the_results_alone(place: Path, whole: Any) -> None:
    shutil.copytree(place / "R", place / "R2")
    before = json.loads((place / "R2" / "rounds-planted-long.json").read_text())
    again, said = run(place, "warm_up", "style_2", out="R2", work="W2")
    assert "warm_up: done before" in said.parts
    if before["left_out"] or all(not r["promoted"] for r in before["rounds"][1:]):
        assert again["left_out"] == ["style_2"]
    else:
        assert again["finished"][-1] == "style_2"


def test_a_stopped_training_says_why(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patlm.training.rounds.stages.train", _stopped)
    with raises(TrainingStopped, "training_stopped", "warm_up", "integrate"):
        run(place, "warm_up", out="R3")
    assert not (place / "R3" / "rounds-planted-long.json").exists()


def _stopped(config: Any, watch: Any) -> Any:
    from patlm.training.trainer.train import TrainReport

    fields = dict.fromkeys(TrainReport.__dataclass_fields__, None)
    return TrainReport(**{**fields, "stopped": "loss is nan"})  # type: ignore[arg-type]
