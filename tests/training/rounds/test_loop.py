"""The order of the rounds, the gate, and going on from what is on disk. Steps are planted."""

import json
from pathlib import Path

import pytest
from patlm.evaluation.items import Item, ItemKey
from patlm.training.rounds.loop import Trained, run_rounds
from patlm.training.rounds.plan import RoundsPlan, UnknownStage, numbered
from patlm.training.rounds.results import BrokenStageItems
from patlm.training.rounds.state import BrokenState, RoundsState
from raising import raises

WORTH = {"integrate@1": 0.05, "style@1": 0.0, "preference@1": 0.0}
"""What an adapter adds to the quality of a draft."""


class PlantedSteps:
    """Drafts whose quality is .1, plus what each adapter is worth, plus what the target is."""

    def __init__(self, worth: dict[str, float]) -> None:
        self.worth = {**WORTH, **worth}
        self.did: list[str] = []
        self.promoted: list[str] = []
        self.killed_at: str | None = None

    def _do(self, what: str) -> None:
        if what == self.killed_at:
            raise KeyboardInterrupt
        self.did.append(what)

    async def warm_up(self):
        self._do("warm_up")
        return [
            Trained(f"{role}@1", {"method": "sft", "steps": 3})
            for role in ("integrate", "style", "preference")
        ]

    async def train_reasoner(self, stage, role, adapters):
        self._do(stage)
        step = int(stage.removeprefix(f"{role}_")) + 1
        return Trained(f"{role}@{step}", {"method": "dpo", "steps": 2})

    async def measure(self, arm, configuration, split, history):
        self._do(f"{arm} on {split} {history}")
        used = {} if configuration is None else configuration.adapters
        worth = sum(self.worth.get(name, 0.0) for name in used.values())
        return [item(arm, at, 0.1 + 0.01 * at + worth, history) for at in range(8)]

    def promote(self, names):
        self.promoted += names


def item(arm: str, at: int, quality: float, history: str = "all") -> Item:
    metrics = {"quality": quality, "rouge1": quality, "copy_rate": 0.1, "length": 20.0}
    key = ItemKey(f"{at:016x}", arm, "made", history, 0)
    return Item(key, "gap", "long", f"user{at}", f"topic{at % 3}", 0, metrics=metrics, draft="x")


def plan(stages: tuple[str, ...] | None = None, **changes) -> RoundsPlan:
    chosen = {} if stages is None else {"stages": stages}
    return RoundsPlan(Path("gap_dev.json"), **chosen, **changes)


def state(folder: Path, asked: RoundsPlan, split: str = "5p1it") -> RoundsState:
    return RoundsState(folder, "gap", asked, split)


async def test_stages_run_in_order_and_each_is_measured_on_report(tmp_path: Path) -> None:
    steps = PlantedSteps({"style@2": 0.02, "preference@2": 0.01})
    kept = state(tmp_path, plan())
    await run_rounds(plan(), steps, kept)
    trained = [each for each in steps.did if " on " not in each]
    assert trained == ["warm_up", "style_1", "preference_1"]
    assert [each["stage"] for each in kept.results["rounds"]] == [
        *("warm_up", "style_1", "preference_1")
    ]
    assert all(each["promoted"] for each in kept.results["rounds"])
    # .05 of the warm-up, .02 of the style round, .01 of the preference round, of every target.
    assert kept.results["final"]["gain"] == 0.08
    assert kept.results["final"]["ci95"] == [0.08, 0.08]
    assert kept.results["final"]["over_no_context"]["mean"] == 0.03
    assert steps.promoted == ["integrate@1", "style@1", "preference@1", "style@2", "preference@2"]
    # What a stage is held against bears the name under which it was measured before it.
    asked = [each.split()[0] for each in steps.did if " on gate " in each]
    pairs = [("untrained", "warm_up"), ("warm_up", "style_1"), ("style_1", "preference_1")]
    assert asked == [arm for pair in pairs for arm in pair]


async def test_a_round_that_loses_on_gate_is_reported_and_not_promoted(tmp_path: Path) -> None:
    steps = PlantedSteps({"style@2": -0.02, "preference@2": 0.01})
    kept = state(tmp_path, plan())
    await run_rounds(plan(), steps, kept)
    style = kept.results["rounds"][1]
    assert (style["gain"], style["promoted"]) == (-0.02, False)
    assert dict(kept.promoted) == {
        **{"integrate": "integrate@1", "style": "style@1", "preference": "preference@2"}
    }
    stages = {row["stage"]: row for row in kept.results["stages"]}
    # Mean of 0 to .07 is .035.
    assert stages["style_1"]["quality"]["mean"] == round(0.1 + 0.035 + 0.05 - 0.02, 4)
    assert kept.results["final"]["gain"] == 0.06


async def test_a_gain_of_nothing_is_not_promoted(tmp_path: Path) -> None:
    steps = PlantedSteps({})
    kept = state(tmp_path, plan())
    await run_rounds(plan(), steps, kept)
    assert [each["promoted"] for each in kept.results["rounds"]] == [True, False, False]
    assert kept.best_stage == "warm_up"
    # `final` is the warm-up, and is not run again.
    assert not [each for each in steps.did if each.startswith("final on")]


async def test_a_killed_run_goes_on_from_the_files_alone(tmp_path: Path) -> None:
    whole = state(tmp_path / "whole", plan())
    await run_rounds(plan(), PlantedSteps({"style@2": 0.02}), whole)
    steps = PlantedSteps({"style@2": 0.02})
    steps.killed_at = "style_1"
    with pytest.raises(KeyboardInterrupt):
        await run_rounds(plan(), steps, state(tmp_path / "cut", plan()))
    steps.killed_at = None
    before = list(steps.did)
    await run_rounds(plan(), steps, state(tmp_path / "cut", plan()))
    assert "warm_up" not in steps.did[len(before) :]
    for name in ("rounds-gap-long.json", "rounds-gap-long-items.jsonl"):
        assert (tmp_path / "cut" / name).read_text() == (tmp_path / "whole" / name).read_text()


async def test_one_stage_alone_goes_on_from_the_one_before(tmp_path: Path) -> None:
    steps = PlantedSteps({"style@2": 0.02, "style@3": 0.03})
    for stages in (("untrained",), ("warm_up",), ("style",), ("style_2",), ("final",)):
        asked = plan(stages)
        await run_rounds(asked, steps, state(tmp_path, asked))
    kept = json.loads((tmp_path / "rounds-gap-long.json").read_text())
    assert kept["finished"] == ["untrained", "warm_up", "style_1", "style_2", "final"]
    assert kept["promoted"]["style"] == "style@3"
    assert kept["final"]["gain"] == 0.08


async def test_items_hold_hashed_ids_and_figures_only(tmp_path: Path) -> None:
    asked = plan(history=("all", "0"))
    await run_rounds(asked, PlantedSteps({}), state(tmp_path, asked))
    lines = (tmp_path / "rounds-gap-long-items.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 16  # eight targets, two histories
    stages = ("untrained", "no_context", "warm_up", "final", "copy_best", "copy_typical")
    for row in rows:
        assert all(isinstance(row[stage], float) for stage in stages)
        assert int(row["id"], 16) >= 0
        assert "draft" not in row
    histories = {row["history"] for row in state(tmp_path, asked).results["stages"]}
    assert histories == {"all", "0"}


@pytest.mark.parametrize("stages", [("warmup",), ("warm_up", "warm_up"), ("final_2",), ("",)])
def test_a_stage_that_is_none_is_refused(stages: tuple[str, ...]) -> None:
    with pytest.raises(UnknownStage) as raised:
        numbered(stages)
    assert raised.value.code == ("repeated_stage" if len(stages) > 1 else "unknown_stage")


async def test_files_of_other_splits_and_broken_ones_are_refused(tmp_path: Path) -> None:
    asked = plan(("untrained",))
    await run_rounds(asked, PlantedSteps({}), state(tmp_path, asked))
    with raises(BrokenState, "other_state", "other"):
        state(tmp_path, asked, split="other")
    items = tmp_path / "rounds-gap-long-items.jsonl"
    items.write_text(items.read_text() + "{torn\n")
    with raises(BrokenStageItems, "broken_items", "items.jsonl:9"):
        state(tmp_path, asked)
