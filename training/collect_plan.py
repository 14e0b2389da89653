"""What is collected and how: all that decides the episodes beside the data and the models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .configuration import SIDES
from .errors import TrainingError
from .rewards import RewardWeights
from .targets import Target

VERSION = 2
"""Raised where the same plan, data and models would give other episodes."""

_SEEDS = 2**31
"""Seeds are below: servers take no larger ones."""


class UnfitPlan(TrainingError):
    """A collection that can't be made as it was asked for."""


@dataclass(frozen=True)
class CollectPlan:
    """How episodes are collected.

    Attributes:
        candidates: Summaries that each reasoner draws in its context.
        temperature: They are drawn at.
        sides: Whose reasoners draw.
        reasoner: `model`; or `extractive`: both summaries are made without a language model,
            nothing is drawn or written, and no model is called (material for integrate).
        second_share: Share of the targets whose candidates are drawn in the second iteration, in a
            context that the first has left.
        k: Texts of evidence a side.
        weights: Of the rewards.
        adapters: LoRA adapter of each role; a role left out runs on the base model.
        seed: Of everything that is drawn.
    """

    candidates: int = 4
    temperature: float = 0.8
    sides: Sequence[str] = SIDES
    reasoner: Literal["model", "extractive"] = "model"
    second_share: float = 0.5
    k: int = 4
    weights: RewardWeights = field(default_factory=RewardWeights)
    adapters: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what does not go together.

        Raises:
            UnfitPlan: Naming what was expected.
        """
        if self.reasoner == "extractive" and self.candidates:
            raise UnfitPlan(
                f"{self.candidates} candidates can't be drawn where no model is asked: leave the "
                "reasoner at model, or set candidates to 0"
            )
        if self.reasoner == "model" and self.candidates < 1:
            raise UnfitPlan(
                f"expected at least 1 candidate, got {self.candidates}: 2 or more make a group "
                "that can be learnt from"
            )
        if unknown := sorted(set(self.sides) - set(SIDES)):
            raise UnfitPlan(f"no side {', '.join(unknown)}: one or both of {', '.join(SIDES)}")
        if not self.sides:
            raise UnfitPlan(f"no side draws: name one or both of {', '.join(SIDES)}")
        if self.temperature <= 0:
            raise UnfitPlan(
                f"candidates are drawn at a temperature above 0, got {self.temperature:g}: at 0 "
                "all would be the same"
            )
        if not 0 <= self.second_share <= 1:
            raise UnfitPlan(
                f"the share of the second iteration is 0 to 1, got {self.second_share:g}"
            )

    def iteration(self, target: Target) -> int:
        """Return in which iteration a target's candidates are drawn, by its hash: 1 or 2."""
        part = self._number(target, "iteration") / _SEEDS
        return 2 if part < self.second_share else 1

    def seed_of(self, target: Target, side: str, number: int) -> int:
        """Return the seed of a candidate."""
        return self._number(target, side, str(number))

    @property
    def recorded(self) -> dict[str, Any]:
        """The plan as episodes keep it; the weights of the rewards stand beside it."""
        fields = {**asdict(self), "sides": sorted(self.sides), "adapters": dict(self.adapters)}
        del fields["weights"]
        return fields

    def _number(self, target: Target, *what: str) -> int:
        said = "\x1f".join((str(self.seed), target.id, *what))
        return int(hashlib.sha1(said.encode()).hexdigest(), 16) % _SEEDS


@dataclass(frozen=True)
class Source:
    """What episodes are collected from, as they tell it.

    Attributes:
        split: Fingerprint of the splits.
        store: Hash of what the store holds.
        made_of: What decides the episodes beside plan and target: data, encoders, model, adapters.
    """

    split: str
    store: str
    made_of: str

    def fingerprint(self, plan: CollectPlan) -> str:
        """Return twelve hex digits by which a collection knows its own episodes again."""
        plan_of_it = json.dumps([plan.recorded, asdict(plan.weights)], sort_keys=True)
        parts = (str(VERSION), plan_of_it, self.split, self.store, self.made_of)
        return hashlib.sha1("\x1f".join(parts).encode()).hexdigest()[:12]
