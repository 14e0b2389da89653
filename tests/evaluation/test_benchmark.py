import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import Asked, ScriptedChat, fails
from patlm.evaluation.arms.registry import UnknownArm, arms_named
from patlm.evaluation.benchmark import ITEMS, Measured, Plan, measure_personalization, read_targets
from patlm.evaluation.cache import Answers, RememberedChat
from patlm.evaluation.errors import EvaluationError
from patlm.evaluation.items import Item
from patlm.evaluation.run import results_of
from patlm.evaluation.targets import NoTargets
from patlm.graph import open as opening
from patlm.nodes.guards.personal_data import GuardSettings
from patlm.stores.values import RatingScale
from planted import deaf_model, reading_model, write_planted
from raising import raises
from store_fixtures import cheap_encoders


class Silence:
    def say(self, part: str) -> None: ...

    def begin(self, items: int, done: int, things: str) -> None:
        self.items, self.done, self.new = items, done, 0

    def advance(self, item: Item) -> None:
        self.new += 1


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("planted") / "planted.jsonl")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def plan_of(file: Path, arms: Sequence[str], **given: Any) -> Plan:
    named = arms_named(arms)
    return Plan(**{"data": [file], "arms": named, "split": None, **given})


def measure(
    plan: Plan,
    model: ScriptedChat,
    out: Path,
    cache: Path,
    answers: Answers | None = None,
    watch: Silence | None = None,
) -> Measured:
    chat = RememberedChat(model, "scripted", answers or Answers())
    return asyncio.run(
        measure_personalization(plan, read_targets(plan), chat, out, cache, watch or Silence())
    )


def figures(plan: Plan, measured: Measured) -> dict[str, Any]:
    results = results_of(plan, measured, {})
    del results["settings"]["seconds"]
    return results


@pytest.mark.slow
def test_a_planted_signal_holds_with_a_model_that_uses_the_evidence(
    planted: Path, cache: Path, tmp_path: Path
) -> None:
    # Without own texts: whoever has some reads them first, and borrows little. The planted signal
    # is in the words that this model repeats.
    guards = GuardSettings(copied_words=0)
    plan = plan_of(planted, ["main", "controls"], history=["0"], guards=guards)
    results = figures(plan, measure(plan, reading_model(), tmp_path, cache))
    said = {verdict["side"]: verdict["verdict"] for verdict in results["verdicts"]}
    assert said == {"both": "holds", "style": "holds", "preference": "holds"}
    means = {row["arm"]: row["metrics"]["quality"]["mean"] for row in results["arms"]}
    assert means["both"] > means["style_only"] > means["no_context"]
    assert means["anti_users"] < means["random_users"] < means["both"]
    assert {row["n"] for row in results["arms"]} == {36}


@pytest.mark.slow
def test_it_does_not_hold_with_a_model_that_ignores_the_evidence(
    planted: Path, cache: Path, tmp_path: Path
) -> None:
    plan = plan_of(planted, ["main", "controls"])
    results = figures(plan, measure(plan, deaf_model(), tmp_path, cache))
    assert [verdict["verdict"] for verdict in results["verdicts"]] == ["does not hold"] * 3


def test_a_run_cut_at_any_byte_goes_on_and_equals_an_unbroken_one(
    planted: Path, cache: Path, tmp_path: Path
) -> None:
    plan = plan_of(planted, ["no_context", "both", "shuffled", "copy_typical"], limit=4)
    unbroken = figures(plan, measure(plan, reading_model(), tmp_path / "whole", cache))
    whole = (tmp_path / "whole" / ITEMS).read_bytes()
    for cut in (100, len(whole) // 2, len(whole) - 1):
        out = tmp_path / str(cut)
        out.mkdir()
        (out / ITEMS).write_bytes(whole[:cut])
        watch = Silence()
        measured = measure(plan, reading_model(), out, cache, watch=watch)
        assert figures(plan, measured) == unbroken
        left = whole[:cut].splitlines()
        assert watch.done == sum(line in whole.splitlines() for line in left)
        assert watch.new == watch.items - watch.done


def test_one_more_arm_costs_that_arm_alone(planted: Path, cache: Path, tmp_path: Path) -> None:
    answers, model = Answers(), reading_model()
    plan = plan_of(planted, ["no_context", "both"], limit=6)
    measure(plan, model, tmp_path, cache, answers)
    before = len(model.asked)
    # Both sides' summaries, and a draft from both.
    assert before == 6 * (1 + 2 + 1)
    watch = Silence()
    plan = plan_of(planted, ["no_context", "both", "style_only"], limit=6)
    measure(plan, model, tmp_path, cache, answers, watch)
    assert (watch.items, watch.done, watch.new) == (18, 12, 6)
    assert len(model.asked) == before + 6  # the summaries are those of `both`


def test_no_prompt_holds_the_real_text_and_an_arm_that_plants_it_is_caught(
    planted: Path, cache: Path, tmp_path: Path
) -> None:
    plan = plan_of(planted, ["main", "controls"], limit=5)
    rows = figures(plan, measure(plan, reading_model(), tmp_path / "a", cache))["arms"]
    assert {row["leaks"]["targets"] for row in rows} == {5}
    assert [row["arm"] for row in rows if row["leaks"]["runs"]] == []

    plan = plan_of(planted, ["both"], limit=5)
    (items,) = measure(plan, _planting(planted), tmp_path / "b", cache).items.values()
    assert all(item.leaks is not None and item.leaks[0] > 0 for item in items)


def _planting(planted: Path) -> ScriptedChat:
    """Return a model whose style summary is the very text that is to be written."""
    rows = [json.loads(line) for line in planted.read_text().splitlines()]
    real = {row["title"]: row["text"] for row in rows}

    def tell(asked: Asked) -> str:
        return next(text for title, text in real.items() if title in asked.user)

    return ScriptedChat(says={"style": tell, "preference": "-", "integrate": "-"})


def test_a_failed_item_is_told_of_and_tried_again(
    planted: Path, cache: Path, tmp_path: Path
) -> None:
    plan = plan_of(planted, ["no_context", "style_only"], limit=3)
    broken = reading_model(fault=fails(ValueError("no weights"), role="style"))
    measured = measure(plan, broken, tmp_path, cache)
    rows = {row["arm"]: row for row in figures(plan, measured)["arms"]}
    assert list(rows) == ["no_context"]
    assert measured.why is not None and "no weights" in measured.why
    assert sum(measured.failed.values()) == 3
    again = measure(plan, reading_model(), tmp_path, cache)
    assert {row["arm"]: row["n"] for row in figures(plan, again)["arms"]} == {
        "no_context": 3,
        "style_only": 3,
    }


def test_history_is_cut_for_the_same_targets(planted: Path, cache: Path, tmp_path: Path) -> None:
    plan = plan_of(planted, ["style_own", "no_context"], limit=6, history=["0", "1", "all"])
    measured = measure(plan, reading_model(), tmp_path, cache)
    own = {
        place[2]: sorted(
            len(item.own_read) + len(item.evidence.get("style", ()))
            for item in items
            if item.key.arm == "style_own"
        )
        for place, items in measured.items.items()
    }
    assert own == {"0": [0] * 6, "1": [1] * 6, "all": [3] * 6}
    known = {place[2]: {item.own for item in items} for place, items in measured.items.items()}
    assert known == {"0": {0}, "1": {1}, "all": {3}}


def test_inductive_evidence_is_of_nobody_who_is_measured(
    planted: Path, cache: Path, tmp_path: Path
) -> None:
    plan = plan_of(planted, ["both"], limit=10, inductive=True)
    measured = measure(plan, reading_model(), tmp_path, cache)
    (asked,) = measured.asked
    scored = {target.text.user_id for target in asked.targets}
    (items,) = measured.items.values()
    shown = {text_id for item in items for side in item.evidence.values() for text_id, _ in side}
    assert shown
    assert not scored & {asked.data.by_id[text_id].user_id for text_id in shown}


def test_what_is_not_there_is_said(planted: Path, cache: Path, tmp_path: Path) -> None:
    with raises(UnknownArm, "unknown_arm", "bot", "all, main"):
        arms_named(["bot"])
    with raises(NoTargets, "no_targets", 36, "rating"):
        measure(plan_of(planted, ["both"], tasks=["rating"]), reading_model(), tmp_path, cache)
    with raises(EvaluationError, "same_file_names", "planted"):
        measure(
            plan_of(planted, ["both"], data=[planted, planted]), reading_model(), tmp_path, cache
        )


def test_ratings_are_asked_for_and_measured_on_the_scale_of_the_data(
    cache: Path, tmp_path: Path
) -> None:
    rows = [
        {
            "user_id": f"person {n % 6} of many",
            "topic_id": f"film {n % 4}",
            "title": f"Title {n}",
            "text": f"A review of a film, number {n}.",
            "rating": 8 if n >= 18 else n % 10 + 1,
            "timestamp": n,
        }
        for n in range(24)
    ]
    file = tmp_path / "films.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    model = ScriptedChat(says={"style": "Short.", "preference": "Fine.", "integrate": "10"})
    plan = plan_of(file, ["no_context"], tasks=["rating"], rating_scale=RatingScale(1, 10))
    found = figures(plan, measure(plan, model, tmp_path / "out", cache))["arms"][0]["metrics"]
    assert all("from 1 (bad) to 10 (good)" in asked.user for asked in model.asked_of("integrate"))
    # All six targets are 8, all answers 10: 2 of 9 points apart.
    assert found["mae"]["mean"] == found["rmse"]["mean"] == 2
    assert found["agreement"]["mean"] == pytest.approx(1 - 2 / 9, abs=1e-3)
    assert found["unparsable"]["mean"] == 0
