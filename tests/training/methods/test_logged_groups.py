"""Logged samples in the place of new ones: the right ones, in the right process, once."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from patlm.stores.episodes.schema import SamplingSettings
from patlm.training.data.samples import Needs, Skipped
from patlm.training.methods.grpo import LoggedRollouts, logged_reward, make_logged_groups
from planted_episodes import planted_episode

BASE = "a" * 16


@dataclass
class Processes:
    """Stands for TRL's trainer in one of several processes."""

    num_generations: int
    index: int = 0
    accelerator: Any = field(init=False)

    def __post_init__(self) -> None:
        self.accelerator = SimpleNamespace(process_index=self.index)


def groups_of(*sizes: int) -> list[Any]:
    episodes = [
        planted_episode(
            at,
            "warm1",
            [([10 * at + n], f"{n}") for n in range(size)],
            [float(size - n) for n in range(size)],
            base=BASE,
        )
        for at, size in enumerate(sizes)
    ]
    return make_logged_groups(episodes, Needs("style", BASE, adapter="base"), Skipped())


def test_each_sample_of_a_group_is_given_once_with_its_reward() -> None:
    first, second = groups_of(3, 3)
    rollouts = LoggedRollouts([first, second])
    given = rollouts([first.id] * 3 + [second.id] * 3, Processes(3))
    assert given["completion_ids"] == [[0], [1], [2], [10], [11], [12]]
    assert given["logged_reward"] == [3.0, 2.0, 1.0] * 2
    assert given["prompt_ids"] == [first.prompt_ids] * 6


def test_two_processes_share_a_group() -> None:
    (only,) = groups_of(4)
    rollouts = LoggedRollouts([only])
    halves = [rollouts([only.id] * 2, Processes(4, index)) for index in (0, 1)]
    assert [half["completion_ids"] for half in halves] == [[[0], [1]], [[2], [3]]]
    assert [half["logged_reward"] for half in halves] == [[4.0, 3.0], [2.0, 1.0]]


def test_a_smaller_group_is_filled_with_repeats_that_teach_nothing() -> None:
    (small,) = groups_of(2)
    given = LoggedRollouts([small])([small.id] * 4, Processes(4))
    assert given["completion_ids"] == [[0], [1], [0], [1]]
    assert given["logged_reward"] == [2.0, 1.0, None, None]
    assert logged_reward(["a"] * 4, given["logged_reward"], other=1) == [2.0, 1.0, None, None]


def test_groups_of_another_temperature_are_another_policys() -> None:
    episodes = [
        planted_episode(at, "warm1", [([1], "a"), ([2], "b")], [1.0, 0.0], base=BASE)
        for at in range(3)
    ]
    colder = SamplingSettings(temperature=0.5, max_tokens=4)
    other = tuple(each.model_copy(update={"sampling": colder}) for each in episodes[0].samples)
    episodes[0] = episodes[0].model_copy(update={"samples": other})
    skipped = Skipped()
    groups = make_logged_groups(episodes, Needs("style", BASE), skipped)
    assert [group.temperature for group in groups] == [1.0, 1.0]
    assert skipped["other_temperature"] == 1
