"""Which pairs are made of a group, and that everything that is left out is counted."""

from typing import Any

import pytest
from patlm.stores.episodes.schema import Episode, Sample
from patlm.training.data.pairs import PairSettings, PreferencePair, make_pairs
from patlm.training.data.samples import Needs, Skipped
from planted_episodes import planted_episode

BASE = "a" * 16
NEEDS = Needs(role="style", base=BASE)
ABSTENTION = (2, 2, 2, 1)


def episode_of(*rewards: float, lengths: tuple[int, ...] = (), **changes: Any) -> Episode:
    """Return one group whose answers have these rewards; token 9 of the first is 10, and so on."""
    sizes = lengths or (4,) * len(rewards)
    answers = [([10 + at] * size, f"answer {at}") for at, size in enumerate(sizes)]
    made = planted_episode(0, "warm1 cold2", answers, rewards, base=BASE)
    samples = tuple(sample.model_copy(update=changes) for sample in made.samples)
    return made.model_copy(update={"samples": samples})


def changed(episode: Episode, at: int, **changes: Any) -> Episode:
    samples = list(episode.samples)
    samples[at] = samples[at].model_copy(update=changes)
    return episode.model_copy(update={"samples": tuple(samples)})


def made(
    *episodes: Episode, needs: Needs = NEEDS, **settings: Any
) -> tuple[list[PreferencePair], dict[str, int]]:
    skipped = Skipped()
    pairs = make_pairs(episodes, needs, PairSettings(**settings), ABSTENTION, skipped)
    return pairs, {reason: n for reason, n in skipped.items() if n}


def test_the_widest_gap_comes_first_and_an_answer_stands_on_a_side_once() -> None:
    pairs, skipped = made(episode_of(0.9, 0.1, 0.6, 0.3), per_group=3)
    # 0.9 over 0.1; then not 0.9 again and not 0.1 again: 0.6 over 0.3.
    assert [(p.chosen_ids[0], p.rejected_ids[0]) for p in pairs] == [(10, 11), (12, 13)]
    assert [p.gap for p in pairs] == pytest.approx([0.8, 0.3])
    assert not skipped


def test_tokens_are_those_that_were_generated() -> None:
    episode = episode_of(1.0, 0.0)
    pair = made(episode)[0][0]
    better, worse = episode.samples
    assert (pair.chosen_ids, pair.rejected_ids) == (better.token_ids, worse.token_ids)
    assert pair.prompt_ids == better.prompt_token_ids


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"error": "TimeoutError"}, "failed"),
        ({"token_ids": None}, "inexact"),
        ({"base": "b" * 16}, "other_base"),
        ({"trainable": False}, "not_drawn"),
        ({"reward": None}, "unmeasured"),
        ({"rewards": {"summary_copying": 0.6}}, "copied"),
        ({"prompt_token_ids": (4,) * 2000}, "too_long"),
    ],
)
def test_what_may_not_train_is_counted(changes: dict[str, Any], reason: str) -> None:
    # The worst of three goes: the pair of the other two stays.
    pairs, skipped = made(changed(episode_of(1.0, 0.5, 0.0), 2, **changes))
    assert [(p.chosen_ids[0], p.rejected_ids[0]) for p in pairs] == [(10, 11)]
    assert skipped == {reason: 1}


def test_groups_that_teach_nothing_are_counted() -> None:
    assert made(episode_of(1.0)) == ([], {"group_of_one": 1})
    assert made(episode_of(0.7, 0.7, 0.7)) == ([], {"no_variance": 1})
    assert made(episode_of(0.7, 0.69), margin=0.02) == ([], {"below_margin": 1})
    assert made(episode_of(1.0, 0.0, lengths=(8, 4)), length_ratio=1.5) == ([], {"length": 1})
    assert len(made(episode_of(1.0, 0.0, lengths=(6, 4)), length_ratio=1.5)[0]) == 1


def test_where_nothing_helps_the_abstention_is_preferred_to_the_worst() -> None:
    # Differentials are reward - 0.5: -0.1, -0.4, -0.2.
    pairs, skipped = made(episode_of(0.4, 0.1, 0.3), abstain_share=1.0)
    assert [(p.abstains, p.chosen_ids, p.rejected_ids[0]) for p in pairs] == [
        (True, ABSTENTION, 11)
    ]
    assert pairs[0].gap == pytest.approx(0.1)  # how far the best lies below the margin
    # A margin of -0.2 is exceeded by the best.
    pairs, _ = made(episode_of(0.4, 0.1, 0.3), abstain_share=1.0, gate_margin=-0.2)
    assert not any(pair.abstains for pair in pairs)


def test_a_plain_extract_that_helps_is_signal_enough() -> None:
    episode = episode_of(0.4, 0.1)
    extract = Sample(
        id="x",
        node="style-reason",
        iteration=1,
        role="style",
        model="extractive",
        text="Short sentences.",
        group=episode.groups[0].id,
        reward=0.9,
        differential=0.4,
    )
    helped = episode.model_copy(update={"samples": (*episode.samples, extract)})
    pairs, skipped = made(helped, abstain_share=1.0)
    assert [pair.abstains for pair in pairs] == [False]
    assert not skipped  # it has no tokens to train on, and is not meant to


def test_abstentions_are_a_share_of_the_pairs_at_most() -> None:
    helps = [episode_of(1.0, 0.0) for _ in range(4)]
    harms = [episode_of(0.4, 0.1), episode_of(0.2, 0.1), episode_of(0.3, 0.1)]
    pairs, skipped = made(*helps, *harms, abstain_share=0.2)
    # Of n = 4 others n a / (1 - a) = 4 * 0.2 / 0.8 = 1 may stay: where the best does most harm.
    assert [pair.gap for pair in pairs if pair.abstains] == pytest.approx([0.3])
    assert skipped == {"abstention": 2}
