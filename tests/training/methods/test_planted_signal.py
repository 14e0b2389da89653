"""Where one known property of an answer decides the reward, training raises it; shuffled, not."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from planted_episodes import (
    is_warm,
    planted_episodes,
    run_training,
    share_warm,
    with_trained,
    word_llama,
)

METHODS: dict[str, dict[str, Any]] = {
    "dpo": {"method": "dpo", "batch": 16, "accumulation": 1, "pairs_per_group": 3},
    "grpo": {
        "method": "grpo",
        "batch": 32,
        "accumulation": 2,
        "steps": 40,
        "answer_tokens": 4,
        "schedule": "constant",
    },
    "grpo-logged": {"method": "grpo", "rollouts": "logged"},
}
ALL_BUT_ONE_SLOW = [
    pytest.param(name, marks=[] if name == "dpo" else [pytest.mark.slow]) for name in METHODS
]
GROUPS = {"dpo": 300, "grpo": 64, "grpo-logged": 600}


def warm_reward(completions: list[list[dict[str, str]]], **columns: Any) -> list[float]:
    return [float(is_warm(turns[0]["content"])) for turns in completions]


def shuffled_reward() -> Callable[..., list[float]]:
    """Return a reward that gives a step's rewards to other answers of the step."""
    draw = random.Random(0)

    def reward(completions: list[list[dict[str, str]]], **columns: Any) -> list[float]:
        given = warm_reward(completions)
        draw.shuffle(given)
        return given

    return reward


def test_at_first_the_property_is_chance() -> None:
    assert 0.3 < share_warm(word_llama()) < 0.7


@pytest.mark.parametrize("name", ALL_BUT_ONE_SLOW)
def test_the_property_is_learnt(name: str, tmp_path: Path) -> None:
    episodes = planted_episodes(GROUPS[name])
    report = run_training(tmp_path, episodes, reward=warm_reward, **METHODS[name])
    assert report.adapter == "style@1"
    assert share_warm(with_trained(tmp_path / "adapters" / "style@1")) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_from_shuffled_rewards_nothing_is_learnt(name: str, tmp_path: Path) -> None:
    episodes = planted_episodes(GROUPS[name], shuffled=True)
    report = run_training(tmp_path, episodes, reward=shuffled_reward(), **METHODS[name])
    assert report.adapter == "style@1"
    assert share_warm(with_trained(tmp_path / "adapters" / "style@1")) < 0.7
