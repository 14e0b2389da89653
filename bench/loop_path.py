"""The way of one run through the loop: which nodes it reached, and where it ended.

A record of a run that failed keeps no times, so what its nodes wrote has to tell how far it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..stores.episode_schema import Episode

Fate = Literal["reached", "failed", "suspect", "unreached", "unrecorded"]

TRAJECTORIES = ("style", "preference")
"""Those of the default loop: taken for a run that failed too early to name its own."""


@dataclass(frozen=True)
class PathNode:
    """A node of the loop in one run.

    Attributes:
        name: Its id.
        step: Its row: 0 retrieve, 1 reason, 2 integrate, 3 check-stop.
        fate: `failed`: the run ended here. `suspect`: it ended in this step, in this node or in
            another that left no record either. `unreached`: a later step. `unrecorded`: it left no
            record of a run that has a result.
        seconds: Its time, all iterations together; None where the record has none.
        calls: Its calls of a language model that are in the record.
        call_seconds: Their time.
    """

    name: str
    step: int
    fate: Fate
    seconds: float | None
    calls: int
    call_seconds: float


def trajectories_of(record: Episode) -> tuple[str, ...]:
    """Return the trajectories of a run, those of the default loop first.

    A run with a result has been through all of them, so the record names them. One that failed may
    not have come so far: there the default ones are taken to be the others.
    """
    sides = [*record.confidence]
    for iteration in record.iterations:
        sides += [*iteration.evidence, *iteration.summaries]
    nodes = [*record.timings, *(call.node for call in record.samples)]
    for ending in ("-retrieve", "-reason"):
        sides += [node.removesuffix(ending) for node in nodes if node.endswith(ending)]
    found = dict.fromkeys(sides)
    default = [side for side in TRAJECTORIES if side in found or record.text is None or not found]
    return tuple(dict.fromkeys([*default, *found]))


def nodes_of(record: Episode) -> tuple[PathNode, ...]:
    """Return the nodes of a run, step by step.

    The nodes of one step work at the same time, and a run without a result ended in the first step
    in which one left no record. Later ones were not reached.
    """
    sides = trajectories_of(record)
    reached = _reached(record)
    steps = [
        [f"{side}-retrieve" for side in sides],
        [f"{side}-reason" for side in sides],
        ["integrate"],
        ["check-stop"],
    ]
    nodes, ended = [], False
    for step, names in enumerate(steps):
        missed = [name for name in names if name not in reached]
        fails_here = bool(missed) and record.error is not None and not ended
        fate: Fate = "unreached" if ended else "unrecorded"
        if fails_here:
            fate = "failed" if len(missed) == 1 else "suspect"
        nodes += [
            _node(record, name, step, fate if name in missed else "reached") for name in names
        ]
        ended = ended or fails_here
    return tuple(nodes)


def _node(record: Episode, name: str, step: int, fate: Fate) -> PathNode:
    times = [call.seconds for call in record.samples if call.node == name]
    return PathNode(name, step, fate, record.timings.get(name), len(times), sum(times))


def end_of(record: Episode) -> str:
    """Return why a run ended, in a word."""
    return "failed" if record.error is not None else (record.stop_reason or "no stop reason")


def _reached(record: Episode) -> set[str]:
    """Return the nodes that left anything in the record."""
    reached = {*record.timings, *(call.node for call in record.samples if call.error is None)}
    reached |= {f"{side}-retrieve" for side in record.confidence}
    for iteration in record.iterations:
        reached |= {f"{side}-retrieve" for side in iteration.evidence}
        reached |= {f"{side}-reason" for side in iteration.summaries}
        if iteration.draft is not None:
            reached.add("integrate")
        if iteration.score is not None:
            reached.add("check-stop")
    return reached
