"""An episode as collecting writes it, small enough to be counted by hand."""

from datetime import UTC, datetime
from typing import Any

from patlm.stores.episodes.schema import (
    EXTRACTIVE,
    Episode,
    Group,
    Message,
    Sample,
    SamplingSettings,
    TargetRecord,
)

RUN = "run-1"
GROUP = f"{RUN}/style-reason@1"
PROMPT = (Message(role="system", content="Sum up."), Message(role="user", content="How?"))
DRAWN = SamplingSettings(temperature=0.7, seed=1, max_tokens=48)


def served(role: str, node: str, **given: Any) -> Sample:
    """Return a call as serving makes it: greedy, with its tokens."""
    fields: dict[str, Any] = {
        "id": f"{node}@1", "node": node, "iteration": 1, "role": role, "model": "tiny",
        "messages": PROMPT, "text": "Short.", "prompt_token_ids": (1, 2), "token_ids": (3, 4),
        "logprobs": (-0.5, -1.0), "base": "0123", "finish_reason": "stop", "seconds": 0.1,
    }  # fmt: skip
    return Sample(**{**fields, **given})


def candidate(place: int | str, reward: float | None, **given: Any) -> Sample:
    """Return a candidate of the group."""
    fields: dict[str, Any] = {
        "id": f"style-reason@1#{place}", "group": GROUP, "text": f"Summary {place}.",
        "draft": f"Draft {place}.", "sampling": DRAWN, "trainable": True, "reward": reward,
        "rewards": {"quality": reward, "copying": None},
        "differential": None if reward is None else reward - 0.2,
    }  # fmt: skip
    return served("style", "style-reason", **{**fields, **given})


def extractive(reward: float) -> Sample:
    """Return the candidate that was made without a language model."""
    tokens = dict.fromkeys(("prompt_token_ids", "token_ids", "logprobs", "sampling", "base"))
    return candidate(EXTRACTIVE, reward, model=EXTRACTIVE, trainable=False, **tokens)


def collected(*candidates: Sample, **given: Any) -> Episode:
    """Return an episode with one group of candidates of style."""
    group = Group(
        id=GROUP, role="style", iteration=1, held={"preference": "They like the view."},
        without_draft="A plain draft.", without_rewards={"quality": 0.2}, without_value=0.2,
    )  # fmt: skip
    calls = (
        served("style", "style-reason"),
        served("preference", "preference-reason"),
        served("integrate", "integrate"),
    )
    replayed = served(
        "integrate", "integrate", id="integrate@1<style-reason@1#0",
        replays="style-reason@1#0", trainable=False,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "run_id": RUN,
        "created": datetime(2025, 3, 1, tzinfo=UTC),
        "namespace": "default",
        "request": {"user_id": "ana", "task": "long", "title": "Two nights", "topic_id": "sea"},
        "target": TargetRecord(id="t1", data="gap", real="What ana really wrote."),
        "split": "abc",
        "samples": (*calls, *candidates, replayed),
        "groups": (group,),
        "text": "A draft.",
    }
    return Episode(**{**fields, **given})


FOUR = (
    candidate(0, 0.5),
    candidate(1, 0.25),
    candidate(2, None, text=None, draft=None, token_ids=None, error="ValueError: down",
              rewards={}, trainable=False),
    extractive(0.75),
)  # fmt: skip
"""Two that were rewarded, one that failed, one that was made without a model."""
