"""Registry of the arms of `patlm bench personalization`: `ARMS` is the only list.

Every arm except the floors is a configuration of the same graph. Controls only change the authors
of the evidence. To add an arm or a control, add an entry here; floors are added in `floors.py`.
Commands, tables, report and docs check are derived from the entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...nodes.budget import Mode
from ...stores.errors import shortened
from ..errors import EvaluationError
from .configuration import SILENT, Arm, Configuration, Kind, Reasoner, Side
from .floors import FLOORS

BASELINE = "no_context"
ALIGNED = "both"


class UnknownArm(EvaluationError, ValueError):
    """No arm has this name."""

    code = "unknown_arm"


SERVED = Side()
"""A side as in serving."""


def _main(
    name: str,
    says: str,
    style: Side = SERVED,
    preference: Side = SERVED,
    *,
    iterations: int = 1,
    drafts: int = 1,
    mode: Mode = "summaries",
) -> Arm:
    runs = Configuration(style, preference, iterations=iterations, drafts=drafts, mode=mode)
    return Arm(name, "main", says, runs)


def _control(name: str, says: str, style: Side = SERVED, preference: Side = SERVED) -> Arm:
    return Arm(name, "control", says, Configuration(style, preference))


def _by(reasoner: Reasoner) -> Side:
    return Side(reasoner=reasoner)


_RANDOM, _ANTI = Side("random"), Side("anti_aligned")
_ENTRIES = (
    _main(BASELINE, "the request alone", SILENT, SILENT),
    _main(
        "own_history",
        "the user's own texts nearest to the request, word for word (LaMP)",
        SILENT,
        Side("own_history", "quoted"),
    ),
    _main(
        "neighbours_raw",
        "others' texts on the topic, word for word (PGraphRAG)",
        SILENT,
        Side("aligned", "quoted"),
    ),
    _main("style_only", "the style side alone", preference=SILENT),
    _main(
        "style_own",
        "the style side alone, from own texts only",
        Side("own_history"),
        SILENT,
    ),
    _main("preference_only", "the preference side alone", style=SILENT),
    _main(ALIGNED, "both sides, one iteration"),
    _main("both_2", "both sides, up to two iterations", iterations=2),
    _main("both_3", "both sides, up to three iterations", iterations=3),
    _main(
        "own_quoted",
        "both sides, and the user's own texts word for word, one iteration",
        mode="own_quoted",
    ),
    _main(
        "extractive",
        "both summaries made without a language model",
        _by("extractive"),
        _by("extractive"),
    ),
    _main("merged", "one reasoner for both sides' evidence, equal tokens", SILENT, _by("merged")),
    _main(
        "best_of_n",
        "three drafts from the request alone, keeping the most central one (equal calls)",
        SILENT,
        SILENT,
        drafts=3,
    ),
    _control("random_users", "random people on both sides", _RANDOM, _RANDOM),
    _control("anti_users", "the least similar people on both sides", _ANTI, _ANTI),
    _control("random_style", "random people's style", style=_RANDOM),
    _control("anti_style", "the least similar people's style", style=_ANTI),
    _control("random_preference", "random people's texts on the topic", preference=_RANDOM),
    _control("anti_preference", "the least aligned people's texts on the topic", preference=_ANTI),
    _control(
        "random_topic",
        "texts on other topics for the preference side",
        preference=Side("random_topic"),
    ),
    _control("swapped", "each reasoner reads the other's evidence", _by("swapped"), _by("swapped")),
    _control("shuffled", "the summaries of another request", _by("given"), _by("given")),
    _control(
        "constant", "one fixed summary per side for everybody", _by("constant"), _by("constant")
    ),
    _control(
        "oracle_style",
        "style from the authors nearest to the real text: an upper bound",
        style=Side("oracle"),
    ),
)

ARMS: dict[str, Arm] = {arm.name: arm for arm in (*_ENTRIES, *FLOORS)}
"""Every arm by name, in the order of the tables."""

GROUPS: Mapping[str, tuple[Kind, ...]] = {
    "all": ("main", "control", "floor"),
    "main": ("main",),
    "controls": ("control",),
    "floors": ("floor",),
}
"""Kinds of arms in each named group."""


def arms_named(names: Sequence[str]) -> list[Arm]:
    """Return arms by names and group names, each once, in the order of the table.

    Raises:
        UnknownArm: A name is neither an arm nor a group.
    """
    for name in names:
        if name not in GROUPS and name not in ARMS:
            raise UnknownArm(
                f"no arm {shortened(name)}: take some of "
                f"{', '.join((*GROUPS, *ARMS))}, separated by commas"
            )
    kinds = {kind for name in names for kind in GROUPS.get(name, ())}
    return [arm for arm in ARMS.values() if arm.name in names or arm.kind in kinds]


def with_adapters(arm: Arm, adapters: Mapping[str, str]) -> Arm:
    """Return an arm whose roles use adapters; a floor has no roles."""
    if arm.configuration is None:
        return arm
    return replace(arm, configuration=replace(arm.configuration, adapters=dict(adapters)))
