import asyncio

import pytest
from collecting import SOURCE, drawing_model, parts_with, some_targets
from fakes import Asked, ScriptedChat
from patlm.stores.episodes.schema import Episode
from patlm.training.collect.collector import Collector
from patlm.training.collect.plan import CollectPlan
from patlm.training.rewards.components import RewardWeights
from patlm.training.rewards.replay import ReplayReward, UnknownContext
from raising import raises


def one(model: ScriptedChat, second: float = 0) -> Episode:
    plan = CollectPlan(candidates=2, second_share=second)
    (target,) = some_targets(1)
    return asyncio.run(Collector(parts_with(model), plan, SOURCE).episode(target))


@pytest.mark.parametrize("second", [0, 1])
def test_a_replayed_reward_is_the_one_that_was_collected(second: float) -> None:
    model = drawing_model()
    episode = one(model, second)
    reward = ReplayReward([episode], parts_with(model))
    for group in episode.groups:
        candidates = episode.candidates(group.id)
        said = [[{"role": "assistant", "content": sample.text}] for sample in candidates]
        found = reward(said, group=[group.id] * len(said), prompts=[""] * len(said))
        assert found == [sample.reward for sample in candidates]
        assert len({*found}) > 1


def test_the_context_is_held_whatever_is_drawn() -> None:
    model = drawing_model()
    episode = one(model, 1)
    style, preference = episode.groups
    before = len(model.asked)
    ReplayReward([episode], parts_with(model))(
        ["NEW", "OLD", "NEW"], group=[style.id, preference.id, style.id]
    )
    asked = model.asked[before:]
    # What is alike is asked once; each with the other side as the first iteration left it.
    assert [each.role for each in asked] == ["integrate"] * 2
    assert 'Style: """NEW"""' in asked[0].user
    assert 'Opinions: """preference greedy"""' in asked[0].user
    assert 'Style: """style greedy"""' in asked[1].user and 'Opinions: """OLD"""' in asked[1].user


def test_a_draft_that_failed_has_no_reward_and_an_abstention_has_that_of_silence() -> None:
    def fault(asked: Asked) -> ValueError | None:
        return ValueError("no draft") if "BROKEN" in asked.user else None

    model = drawing_model()
    episode = one(model)
    group = episode.groups[0]
    model.fault = fault
    weights = RewardWeights(topic_consistency_proxy=0, sentiment_consistency_proxy=0)
    reward = ReplayReward([episode], parts_with(model), weights)
    lost, silent = reward(["BROKEN", "No usable signal."], group=[group.id] * 2)
    assert lost is None and silent == group.without_value


def test_a_group_of_other_episodes_is_refused() -> None:
    reward = ReplayReward([one(drawing_model())], parts_with(drawing_model()))
    with raises(UnknownContext, "unknown_context", "elsewhere"):
        reward(["Short."], group=["elsewhere"])
