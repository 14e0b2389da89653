"""The arms of `patlm bench personalization`, by name: what is claimed, what would refute it.

Each is a configuration of the same graph. Controls change which authors are taken and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import EvaluationError
from .configuration import SILENT, Configuration, Side
from .floors import FLOORS

Kind = Literal["main", "control", "floor"]

BASELINE = "no_context"
BOTH = "both"
SHUFFLED = "shuffled"


class UnknownArm(EvaluationError):
    """An arm that is asked for by a name that it does not have."""


@dataclass(frozen=True)
class Arm:
    """One row of the table.

    Attributes:
        name: What it is called.
        kind: What it is there for.
        says: What it is, in a line.
        configuration: How the loop is run; None for a floor, which runs no model.
    """

    name: str
    kind: Kind
    says: str
    configuration: Configuration | None = None


def _both(strategy: str) -> Configuration:
    return Configuration(Side(strategy), Side(strategy))


_MAIN: Mapping[str, tuple[str, Configuration]] = {
    BASELINE: ("the request alone", Configuration(SILENT, SILENT)),
    "own_history": (
        "the user's own texts nearest to the request, word for word (LaMP)",
        Configuration(SILENT, Side("own_history", "quoted")),
    ),
    "neighbours_raw": (
        "others' texts on the topic, word for word (PGraphRAG)",
        Configuration(SILENT, Side("aligned", "quoted")),
    ),
    "style_only": ("the style side alone", Configuration(Side(), SILENT)),
    "style_own": (
        "the style side alone, from own texts and nothing borrowed",
        Configuration(Side("own_history"), SILENT),
    ),
    "preference_only": ("the preference side alone", Configuration(SILENT, Side())),
    BOTH: ("both sides, as in serving, one iteration", Configuration()),
    "both_2": ("both sides, up to two iterations", Configuration(iterations=2)),
    "both_3": ("both sides, up to three iterations", Configuration(iterations=3)),
    "extractive": (
        "both summaries made without a language model",
        Configuration(Side(reasoner="extractive"), Side(reasoner="extractive")),
    ),
    "merged": (
        "one reasoner for both sides' evidence, equal tokens",
        Configuration(SILENT, Side(reasoner="merged")),
    ),
    "best_of_n": (
        "three drafts from the request alone, the one most like the others kept (equal calls)",
        Configuration(SILENT, SILENT, drafts=3),
    ),
}

_CONTROLS: Mapping[str, tuple[str, Configuration]] = {
    "random_users": ("random people on both sides", _both("random")),
    "anti_users": ("the least alike people on both sides", _both("anti_aligned")),
    "random_style": ("random people's style", Configuration(style=Side("random"))),
    "anti_style": ("the least alike people's style", Configuration(style=Side("anti_aligned"))),
    "random_preference": (
        "random people's texts on the topic",
        Configuration(preference=Side("random")),
    ),
    "anti_preference": (
        "the least aligned people's texts on the topic",
        Configuration(preference=Side("anti_aligned")),
    ),
    "random_topic": (
        "texts on other topics for the preference side",
        Configuration(preference=Side("random_topic")),
    ),
    "swapped": (
        "each reasoner reads the other's evidence",
        Configuration(Side(reasoner="swapped"), Side(reasoner="swapped")),
    ),
    SHUFFLED: (
        "the summaries of another request",
        Configuration(Side(reasoner="given"), Side(reasoner="given")),
    ),
    "constant": (
        "one fixed summary a side for everybody",
        Configuration(Side(reasoner="constant"), Side(reasoner="constant")),
    ),
    "oracle_style": (
        "style from the authors nearest to the real text: an upper bound",
        Configuration(style=Side("oracle")),
    ),
}

_FLOORS: Mapping[str, str] = {
    "copy_best": "the best neighbour's text",
    "copy_random": "a random neighbour's text",
    "copy_typical": "the neighbour's text that is most like the others'",
    "extract": "central sentences of the neighbours, 45 words",
    "echo_request": "the request's own words",
    "first_six_words": "the first six words of the request",
}

ARMS: Mapping[str, Arm] = {
    **{name: Arm(name, "main", says, how) for name, (says, how) in _MAIN.items()},
    **{name: Arm(name, "control", says, how) for name, (says, how) in _CONTROLS.items()},
    **{name: Arm(name, "floor", _FLOORS[name]) for name in FLOORS},
}

GROUPS: Mapping[str, tuple[str, ...]] = {
    "all": tuple(ARMS),
    "main": tuple(_MAIN),
    "controls": tuple(_CONTROLS),
    "floors": tuple(FLOORS),
}


def arms_named(names: Sequence[str]) -> list[Arm]:
    """Return arms by names and names of groups, each once, in the order of the table.

    Raises:
        UnknownArm: A name is neither.
    """
    asked: set[str] = set()
    for name in names:
        if name not in GROUPS and name not in ARMS:
            raise UnknownArm(
                f"no arm {name!r}: take some of {', '.join((*GROUPS, *ARMS))}, with commas between"
            )
        asked.update(GROUPS.get(name, (name,)))
    return [arm for name, arm in ARMS.items() if name in asked]


def with_adapters(arm: Arm, adapters: Mapping[str, str]) -> Arm:
    """Return an arm whose roles run on adapters; a floor has no roles."""
    if arm.configuration is None:
        return arm
    return replace(arm, configuration=replace(arm.configuration, adapters=dict(adapters)))
