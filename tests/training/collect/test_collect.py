import asyncio
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from collecting import (
    GREEDY,
    SOURCE,
    collected,
    drawing_model,
    episodes,
    parts_with,
    some_targets,
    timeless,
)
from fakes import Asked, ScriptedChat, fails
from loop_parts import GivenRetrieval, found
from patlm.evaluation.targets import Target, targets_of
from patlm.stores import Text
from patlm.stores.datasets.splits import Splits
from patlm.stores.episodes.schema import Episode, Group, Sample
from patlm.stores.forgotten import Notes, key_of
from patlm.stores.values import RatingScale
from patlm.training.collect.collector import Collector
from patlm.training.collect.plan import CollectPlan, UnfitPlan
from patlm.training.collect.ray import Workers
from patlm.training.collect.run import MakesEpisodes, gather_episodes
from patlm.training.data.samples import Skipped, rating_scale_of
from patlm.training.data.sft_examples import integrate_examples
from patlm.training.rewards.components import COMPONENTS, total, value
from patlm.training.rewards.replay import ReplayReward
from raising import raises
from tiny_models import tiny_tokenizer

FIRST = CollectPlan(candidates=2, second_share=0)
SECOND = CollectPlan(candidates=2, second_share=1)


def one(plan: CollectPlan, model: ScriptedChat | None = None) -> tuple[Episode, ScriptedChat]:
    model = model or drawing_model()
    (target,) = some_targets(1)
    collector = Collector(parts_with(model), plan, SOURCE)
    return asyncio.run(collector.episode(target)), model


def group_of(episode: Episode, role: str) -> tuple[Group, tuple[Sample, ...]]:
    (group,) = (group for group in episode.groups if group.role == role)
    return group, episode.candidates(group.id)


def test_an_episode_holds_the_run_as_served_then_candidates_then_replays() -> None:
    episode, _ = one(FIRST)
    assert [sample.id for sample in episode.samples] == [
        "style-reason@1",
        "preference-reason@1",
        "integrate@1",
        "style-reason@1#0",
        "style-reason@1#1",
        "style-reason@1#extractive",
        "integrate@1<without:style",
        "integrate@1<style-reason@1#0",
        "integrate@1<style-reason@1#1",
        "integrate@1<style-reason@1#extractive",
        "preference-reason@1#0",
        "preference-reason@1#1",
        "preference-reason@1#extractive",
        "integrate@1<without:preference",
        "integrate@1<preference-reason@1#0",
        "integrate@1<preference-reason@1#1",
        "integrate@1<preference-reason@1#extractive",
    ]
    assert episode.text == "Grand view, style greedy and preference greedy and Bay 0"
    assert episode.target is not None and episode.target.real == "The view of bay 0 is grand."
    assert (episode.split, episode.store) == (SOURCE.split, SOURCE.store)
    assert episode.settings["weights"]["quality"] == 1.0
    assert episode.settings["plan"]["candidates"] == 2
    assert Episode.model_validate_json(episode.model_dump_json()) == episode


def test_candidates_are_drawn_from_the_prompt_of_serving_with_nothing_banned() -> None:
    episode, model = one(FIRST)
    (served, *drawn) = model.asked_of("style")
    assert {asked.user for asked in drawn} == {served.user}
    assert {name: served.options[name] for name in GREEDY} == GREEDY
    for asked in drawn:
        wanted = {"temperature": 0.8, "top_p": 1.0, "no_repeat_ngram_size": 0, "max_tokens": 48}
        assert {name: asked.options[name] for name in wanted} == wanted
    assert len({asked.options["seed"] for asked in drawn}) == 2
    _, candidates = group_of(episode, "style")
    assert [sample.trainable for sample in candidates] == [True, True, False]
    assert not any(sample.trainable for sample in episode.samples if sample.group is None)
    assert candidates[2].model == "extractive" and candidates[2].messages == candidates[0].messages
    # Nothing of its own is known of this person, so nothing is said of a length.
    assert candidates[2].text == "Exclamation marks!, first person. Opens: I slept. I"


def test_integrate_is_replayed_with_the_other_side_held() -> None:
    episode, model = one(FIRST)
    group, candidates = group_of(episode, "style")
    assert group.held == {"preference": "preference greedy"}
    for sample in candidates:
        assert sample.draft == f"Grand view, {sample.text} and preference greedy and Bay 0"
    assert group.without_draft == "Grand view, preference greedy and Bay 0"
    # As in serving: greedy, with its ban of repeated n-grams.
    for asked in model.asked_of("integrate"):
        assert {
            name: asked.options[name] for name in GREEDY
        } == GREEDY and "seed" not in asked.options


def test_in_the_second_iteration_the_context_is_the_one_that_the_first_has_left() -> None:
    episode, _ = one(SECOND)
    group, candidates = group_of(episode, "preference")
    assert group.iteration == 2 and group.held == {"style": "style greedy"}
    prompt = candidates[0].messages[-1].content
    assert "Draft so far" in prompt and episode.iterations[0].draft is not None
    assert episode.iterations[0].draft in prompt and "style greedy" in prompt
    # Held is the first iteration's summary, not what the partner says in the second.
    assert "style greedy later" not in prompt
    assert {sample.iteration for sample in candidates} == {2}
    assert candidates[0].draft == f"Grand view, style greedy and {candidates[0].text} and Bay 0"
    assert [s.text for s in episode.samples if s.id == "style-reason@2"] == ["style greedy later"]


def test_rewards_are_of_the_draft_and_differentials_count_from_the_draft_without() -> None:
    plan = FIRST
    episode, _ = one(plan)
    for role in ("style", "preference"):
        group, candidates = group_of(episode, role)
        assert group.without_value == value(group.without_rewards, plan.weights)
        for sample in candidates:
            assert set(sample.rewards) == set(COMPONENTS)
            assert sample.reward == total(sample.rewards, plan.weights)
            assert sample.differential is not None and group.without_value is not None
            gain = (value(sample.rewards, plan.weights) or 0) - group.without_value
            assert sample.differential == pytest.approx(gain, abs=2e-6)


def test_what_is_alike_is_replayed_once() -> None:
    says = {"style": "The same.", "preference": "No usable signal.", "integrate": "A draft."}
    episode, model = one(FIRST, ScriptedChat(says=says))
    # The run; style: without, "The same.", extractive; preference: extractive, for its draft
    # without is what "The same." alone leads to, as are those of the candidates that abstain.
    assert len(model.asked_of("integrate")) == 1 + 3 + 1
    _, candidates = group_of(episode, "preference")
    assert [sample.text for sample in candidates[:2]] == ["No usable signal."] * 2
    # A summary that abstains leads to what is written without its side, so it adds nothing.
    assert [sample.differential for sample in candidates[:2]] == [0.0, 0.0]


def test_a_failed_candidate_is_kept_as_failed_and_has_no_reward() -> None:
    broken = fails(ValueError("out of words"), role="style", calls=[2])
    episode, _ = one(FIRST, drawing_model(fault=broken))
    _, candidates = group_of(episode, "style")
    lost = candidates[0]
    assert (lost.text, lost.error, lost.trainable) == (None, "ValueError: out of words", False)
    assert lost.reward is None and lost.differential is None and lost.draft is None
    assert lost.messages == candidates[1].messages
    assert candidates[1].reward is not None and episode.error is None


def test_a_failed_replay_is_kept_as_failed_and_the_candidate_has_no_reward() -> None:
    def fault(asked: Asked) -> ValueError | None:
        seeds = [str(each.options["seed"]) for each in model.asked_of("style")[1:2]]
        hit = asked.role == "integrate" and any(seed in asked.user for seed in seeds)
        return ValueError("no draft") if hit else None

    model = drawing_model(fault=fault)
    episode, _ = one(FIRST, model)
    _, candidates = group_of(episode, "style")
    assert candidates[0].text is not None and candidates[0].error is None
    assert candidates[0].reward is None and set(candidates[0].rewards.values()) == {None}
    assert candidates[1].reward is not None
    (lost,) = (sample for sample in episode.samples if sample.error is not None)
    assert (lost.replays, lost.text) == (candidates[0].id, None)


def test_a_run_that_comes_to_nothing_says_why_and_is_tried_again(tmp_path: Path) -> None:
    targets = some_targets(3)
    broken = fails(ValueError("out of words"), role="integrate", calls=[1])
    plan = CollectPlan(candidates=1, second_share=0)
    report = collected(
        tmp_path, targets, parts_with(drawing_model(fault=broken)), plan, in_flight=1
    )
    assert (report.targets, report.episodes, report.failed) == (3, 2, 1)
    assert report.why is not None and "out of words" in report.why
    lost = episodes(tmp_path)[0]
    assert lost.error is not None and lost.groups == ()
    assert [sample.error for sample in lost.samples if sample.error] == ["ValueError: out of words"]
    again = collected(tmp_path, targets, parts_with(drawing_model()), plan)
    assert (again.episodes, again.resumed, again.failed, again.why) == (3, 2, 0, None)
    assert [episode.error is None for episode in episodes(tmp_path)] == [False, True, True, True]


def test_a_side_that_abstains_without_a_call_has_no_group() -> None:
    (target,) = some_targets(1)
    store = GivenRetrieval(preference=found([]))
    collector = Collector(parts_with(drawing_model(), store=store), FIRST, SOURCE)
    episode = asyncio.run(collector.episode(target))
    assert [group.role for group in episode.groups] == ["style"]
    assert episode.groups[0].held == {"preference": None}


def test_extractive_material_is_had_without_a_call() -> None:
    plan = CollectPlan(candidates=0, reasoner="extractive")
    episode, model = one(plan)
    assert model.asked == []
    assert [sample.id for sample in episode.samples] == ["style-reason@1", "preference-reason@1"]
    assert {sample.model for sample in episode.samples} == {"extractive"}
    (only,) = episode.iterations
    assert only.summaries == {sample.role: sample.text for sample in episode.samples}
    assert only.draft is None and episode.text is None and episode.error is None
    assert episode.groups == () and episode.target is not None
    assert only.evidence["style"][0].body == "I slept. I ate. I left."


def test_what_does_not_go_together_is_refused() -> None:
    for wrong, named in (
        ({"reasoner": "extractive"}, "4 candidates"),
        ({"candidates": 0}, "candidate"),
        ({"sides": ("habits",)}, "habits"),
    ):
        with raises(UnfitPlan, "unfit_plan", named):
            CollectPlan(**wrong)  # type: ignore[arg-type]


RAY = importlib.util.find_spec("ray") is not None
ACTOR = ("episode", "notes")


def run(folder: Path, targets: list[Target], **given: object) -> list[dict[str, object]]:
    collected(folder, targets, parts_with(drawing_model()), **given)
    return [timeless(episode) for episode in episodes(folder)]


def test_the_same_plan_gives_the_same_shards_however_many_are_in_flight(tmp_path: Path) -> None:
    targets = some_targets(6)
    alone = run(tmp_path / "alone", targets, in_flight=1)
    assert run(tmp_path / "many", targets, in_flight=6) == alone
    assert [each["target"]["id"] for each in alone] == [t.id for t in targets]  # type: ignore[index]
    other = CollectPlan(candidates=2, seed=1)
    assert run(tmp_path / "other", targets, plan=other) != alone


def test_a_collection_cut_at_any_byte_goes_on_and_equals_an_unbroken_one(tmp_path: Path) -> None:
    targets = some_targets(4)
    unbroken = run(tmp_path / "whole", targets)
    (shard,) = (tmp_path / "whole").glob("*.jsonl")
    whole = shard.read_bytes()
    ends = [at for at, byte in enumerate(whole, 1) if byte == ord("\n")]
    for cut in (0, 9, ends[0] - 1, ends[0], ends[1] + 999):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / shard.name).write_bytes(whole[:cut])
        model = drawing_model()
        report = collected(folder, targets, parts_with(model))
        # The line whose break alone is missing is whole: it is read, and not collected again.
        there = sum(cut >= end - 1 for end in ends)
        assert (report.resumed, report.episodes) == (there, 4)
        torn = report.damaged, f"{shard.name}:{there + 1}: " in str(report.first_damaged)
        assert torn == ((1, True) if cut in (9, ends[1] + 999) else (0, False))
        assert (model.asked == []) == (there == 4)
        assert [timeless(episode) for episode in episodes(folder)] == unbroken


@pytest.mark.parametrize(
    "spread",
    [False, pytest.param(True, marks=pytest.mark.skipif(not RAY, reason="Ray is not installed"))],
)
def test_an_episode_of_somebody_forgotten_meanwhile_is_kept_empty(
    tmp_path: Path, spread: bool
) -> None:
    targets = some_targets(2)
    key = key_of("default", targets[0].text.user_id)

    async def notes() -> Notes:
        return Notes(unfinished=frozenset([key]))

    collector = Collector(parts_with(drawing_model()), FIRST, SOURCE, notes)
    makes: MakesEpisodes = collector
    if spread:  # an actor of Ray has its methods' `remote`
        actor = {name: SimpleNamespace(remote=getattr(collector, name)) for name in ACTOR}
        makes = Workers([SimpleNamespace(**actor)], collector.fingerprint)
    asyncio.run(gather_episodes(makes, targets, tmp_path))
    assert [episode.redacted is not None for episode in episodes(tmp_path)] == [True, False]


def test_another_plan_and_more_targets_go_beside(tmp_path: Path) -> None:
    targets, parts = some_targets(5), parts_with(drawing_model())
    assert collected(tmp_path, targets[:2], parts).episodes == 2
    more = collected(tmp_path, targets, parts)
    assert (more.episodes, more.resumed, more.targets) == (5, 2, 5)
    other = collected(tmp_path, targets[:1], parts, CollectPlan(candidates=3))
    assert (other.episodes, other.resumed) == (1, 0)
    assert len(episodes(tmp_path)) == 6
    assert len({episode.run_id for episode in episodes(tmp_path)}) == 6


@pytest.mark.parametrize(("scale", "quality"), [("1-10", 1 - 2 / 9), ("0-20", 0.9), ("1-5", 0.0)])
def test_ratings_are_rewarded_and_replayed_on_the_scale_of_the_store(
    scale: str, quality: float
) -> None:
    """The real rating is 8 and the answer 10, which is none on 1 to 5."""
    text = Text("u1", "Grand.", "sea", title="Bay", rating=8, target=True)
    (target,) = targets_of("bays", [text], "rating", splits=Splits())
    says = {"style": "Short.", "preference": "Fine.", "integrate": "10"}
    model, on = ScriptedChat(says=says), RatingScale.parse(scale)
    parts = parts_with(model, rating_scale=on)
    episode = asyncio.run(Collector(parts, FIRST, SOURCE).episode(target))
    _, (candidate, *_) = group_of(episode, "style")
    assert candidate.rewards["quality"] == pytest.approx(quality, abs=1e-6)
    ends = f"from {on.low:g} (bad) to {on.high:g} (good)"
    assert all(ends in asked.user for asked in model.asked_of("integrate"))
    # Another process trains on the record, without the store.
    read = Episode.model_validate_json(episode.model_dump_json())
    assert rating_scale_of(read) == on
    tokenizer = tiny_tokenizer()
    (example,) = integrate_examples([read], tokenizer, most=8, skipped=Skipped())
    assert ends in tokenizer.decode(example.prompt_ids)
    replay = ReplayReward([read], parts)
    (again,) = asyncio.run(replay.components([candidate.text or ""], [candidate.group or ""]))
    assert again["quality"] == candidate.rewards["quality"]
