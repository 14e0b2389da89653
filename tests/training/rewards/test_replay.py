from __future__ import annotations

import asyncio

import pytest
from collecting import SOURCE, drawing_model, parts_with, some_targets
from fakes import Asked, ScriptedChat
from patlm.nodes.state import Request, RunContext
from patlm.stores.episodes.schema import Episode
from patlm.training.collect.collector import Collector
from patlm.training.collect.plan import CollectPlan
from patlm.training.collect.sampler import Replay
from patlm.training.rewards.components import RewardWeights
from patlm.training.rewards.replay import ReplayReward, UnknownContext


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


def test_components_are_logged_by_name() -> None:
    model = drawing_model()
    episode = one(model)
    told: dict[str, float] = {}
    ids = [group.id for group in episode.groups]
    ReplayReward([episode], parts_with(model))(
        ["word " * 40, "Short."], group=ids, log_metric=told.__setitem__
    )
    assert told["components/overlong"] == pytest.approx((4 / 12 + 0) / 2)  # 40 of 48, 36 free
    assert "components/quality" in told


def test_a_group_of_other_episodes_is_refused() -> None:
    reward = ReplayReward([one(drawing_model())], parts_with(drawing_model()))
    with pytest.raises(UnknownContext, match="no episode holds the group elsewhere"):
        reward(["Short."], group=["elsewhere"])


async def test_a_replay_asks_the_same_once_and_again_in_another_iteration() -> None:
    model = drawing_model()
    replay = Replay(parts_with(model), RunContext(adapters={}))
    request = Request(user_id="ana", task="long", title="Bay")
    said = {"style": "s", "preference": None}
    one, two = await asyncio.gather(
        replay.draft(request, said, 1), replay.draft(request, {"style": "s"}, 1)
    )
    assert one is two and one[0] == "Grand view, s and Bay" and len(model.asked) == 1
    await replay.draft(request, said, 2)
    assert len(model.asked) == 2
