"""Draw the path of one run through the loop as an SVG element of a page.

It is drawn from top to bottom with a column for each trajectory, which fits a phone. It uses
`currentColor` and lines, not colours alone, so it works in light and dark mode. Its texts come from
a record, so all of them are escaped.

The record of a failed run has no times, so the nodes' outputs show how far it got.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from markupsafe import Markup

if TYPE_CHECKING:
    from ...stores.episodes.schema import Episode

Fate = Literal["reached", "failed", "suspect", "unreached", "unrecorded"]

TRAJECTORIES = ("style", "preference")
"""Trajectories of the default loop, used for a run that failed before it recorded its own."""


@dataclass(frozen=True)
class PathNode:
    """A node of the loop in one run.

    Attributes:
        name: Name of the node.
        step: Row: 0 retrieve, 1 reason, 2 integrate, 3 check-stop.
        fate: `failed`: the run failed here. `suspect`: it failed in this step, in this node or in
            another one without a record. `unreached`: a later step. `unrecorded`: no record in a
            run that has a result.
        seconds: Duration in all iterations; None if not recorded.
        calls: Number of recorded calls of a language model.
        call_seconds: Duration of the calls.
    """

    name: str
    step: int
    fate: Fate
    seconds: float | None
    calls: int
    call_seconds: float


def trajectories_of(record: Episode) -> tuple[str, ...]:
    """Return the trajectories of a run, those of the default loop first.

    A run with a result has passed all of them, so the record names them. A failed run may have
    recorded only some: the default ones are added.
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

    The nodes of one step run concurrently; a run without a result failed in the first step with a
    node that left no record. Later nodes were not reached.
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
    """Return why a run ended, in one word."""
    return "failed" if record.error is not None else (record.stop_reason or "no stop reason")


def _reached(record: Episode) -> set[str]:
    """Return the nodes that left a record."""
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


_COLUMN, _GAP, _EDGE, _BACK = 150, 14, 8, 34
_PILL, _HEAD, _BOX, _STEP, _TAIL = 24, 34, 44, 78, 22  # heights and gaps
_SIGN = 7.3  # approximate pixels per character at this font size
_SHOWN_SIGNS = 30
_FATES = {
    "failed": "failed",
    "suspect": "failed here or in parallel",
    "unreached": "not reached",
    "unrecorded": "left no record",
}


def draw_loop(record: Episode) -> Markup:
    """Draw a run: nodes with their durations, the loop back, the stop reason."""
    nodes = nodes_of(record)
    sides = trajectories_of(record)
    place = _places(nodes, sides)
    height = place.end + _PILL + _EDGE
    width = place.right + _BACK + _EDGE
    parts = [
        *_arrows(nodes, place),
        *_way_back(len(record.iterations), place),
        *(_box(node, place) for node in nodes),
        *_ends(record, place),
    ]
    return Markup(
        '<svg class="loop{wide}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{says}" '
        'viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" fill="none" '
        'stroke="currentColor" stroke-width="1.4" font-size="13">{parts}</svg>'
    ).format(
        wide=" wide" if len(sides) > 2 else "",
        says=describe(record),
        width=width,
        height=height,
        parts=Markup("").join(parts),
    )


def describe(record: Episode) -> str:
    """Describe the drawing in words, as its accessible label."""
    nodes = ", ".join(f"{node.name} {_says(node)}" for node in nodes_of(record))
    return f"The loop: {nodes}. {_rounds(len(record.iterations))}. {end_of(record)}."


@dataclass(frozen=True)
class _Places:
    """Layout in pixels: the centre and width of each column, and the outer edges."""

    middles: Mapping[str, float]
    widths: Mapping[str, float]
    middle: float
    right: float

    def top(self, step: int) -> int:
        return _EDGE + _PILL + _HEAD + step * _STEP

    @property
    def end(self) -> int:
        """Top of END."""
        return self.top(3) + _BOX + _TAIL

    def of(self, node: PathNode) -> tuple[float, float]:
        """Return the centre and the width of a node's box."""
        side = node.name.removesuffix("-retrieve").removesuffix("-reason")
        if node.step > 1:
            return self.middle, max(_COLUMN, _width(node.name))
        return self.middles[side], self.widths[side]


def _places(nodes: Sequence[PathNode], sides: Sequence[str]) -> _Places:
    widths = {side: max(_COLUMN, _width(f"{side}-retrieve")) for side in sides}
    middles, left = {}, float(_EDGE)
    for side in sides:
        middles[side] = left + widths[side] / 2
        left += widths[side] + _GAP
    right = left - _GAP
    return _Places(middles, widths, (_EDGE + right) / 2, right)


def _width(name: str) -> float:
    return min(len(name), _SHOWN_SIGNS) * _SIGN + 12


def _box(node: PathNode, place: _Places) -> Markup:
    middle, width = place.of(node)
    top = place.top(node.step)
    dashed = "" if node.fate == "reached" else Markup(' stroke-dasharray="4 4"')
    return Markup(
        '<g class="node {fate}"{pale}><title>{name}: {says}</title>'
        '<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}" rx="7"{dashed}/>'
        "{label}{below}</g>"
    ).format(
        fate=node.fate,
        pale=Markup(' opacity="0.45"') if _pale(node) else "",
        name=node.name,
        says=_says(node),
        x=middle - width / 2,
        top=top,
        width=width,
        height=_BOX,
        dashed=dashed,
        label=_label(middle, top + 19, _short(node.name), bold=True),
        below=_label(middle, top + 35, _says(node)),
    )


def _says(node: PathNode) -> str:
    """Return the second line of a node's box."""
    if node.fate != "reached":
        return _FATES[node.fate]
    calls = "1 call" if node.calls == 1 else f"{node.calls} calls"
    if node.seconds is not None:
        return shown_seconds(node.seconds) + (f", {calls}" if node.calls else "")
    return f"{shown_seconds(node.call_seconds)} in {calls}" if node.calls else "no time recorded"


def _pale(node: PathNode) -> bool:
    return node.fate in ("unreached", "unrecorded")


def shown_seconds(value: float) -> str:
    """Format a duration, in milliseconds below a tenth of a second."""
    # A no-break space keeps a number and its unit on one line.
    return f"{value * 1000:.1f}\xa0ms" if value < 0.1 else f"{value:.2f}\xa0s"


def _arrows(nodes: Sequence[PathNode], place: _Places) -> Iterator[Markup]:
    """Yield the arrows down: to each retrieval, its reasoner, integrate, check-stop and END."""
    for node in nodes:
        middle, _ = place.of(node)
        top = place.top(node.step)
        pale = _pale(node)
        if node.step == 0:
            yield _arrow(place.middle, _EDGE + _PILL, middle, top, pale=pale)
        elif node.step == 2:
            for column in place.middles.values():
                yield _arrow(column, place.top(1) + _BOX, middle, top, pale=pale)
        else:
            yield _arrow(middle, top - _STEP + _BOX, middle, top, pale=pale)
    yield _arrow(place.middle, place.top(3) + _BOX, place.middle, place.end, pale=_pale(nodes[-1]))


def _arrow(x1: float, y1: float, x2: float, y2: float, *, pale: bool = False) -> Markup:
    bend = (y1 + y2) / 2
    path = f"M{x1:.1f} {y1:.1f} C{x1:.1f} {bend:.1f} {x2:.1f} {bend:.1f} {x2:.1f} {y2 - 6:.1f}"
    return _path(path, pale=pale) + _head(x2, y2, pale=pale)


def _path(path: str, *, pale: bool) -> Markup:
    return Markup('<path d="{}"{}/>').format(path, Markup(' opacity="0.35"') if pale else "")


def _head(x: float, y: float, *, pale: bool) -> Markup:
    """Return the head of a downward arrow; an SVG marker would need an id, which may not repeat."""
    path = f"M{x - 4:.1f} {y - 7:.1f} L{x:.1f} {y:.1f} L{x + 4:.1f} {y - 7:.1f}"
    return _path(path, pale=pale)


def _way_back(rounds: int, place: _Places) -> Iterator[Markup]:
    """Yield the arrow from check-stop back to the retrievals, at the right of all columns."""
    pale = rounds < 2
    half = max(_COLUMN, _width("check-stop")) / 2
    low, high = place.top(3) + _BOX / 2, _EDGE + _PILL + 7
    x = place.right + 12
    yield _path(
        f"M{place.middle + half:.1f} {low:.1f} H{x - 10:.1f} Q{x:.1f} {low:.1f} {x:.1f} "
        f"{low - 10:.1f} V{high + 10:.1f} Q{x:.1f} {high:.1f} {x - 10:.1f} {high:.1f} "
        f"H{place.middle + 6:.1f}",
        pale=pale,
    )
    tip = place.middle + 6
    yield _path(f"M{tip + 7:.1f} {high - 4} L{tip:.1f} {high} L{tip + 7:.1f} {high + 4}", pale=pale)
    middle = (low + high) / 2
    yield Markup('<g transform="rotate(-90 {x:.1f} {y:.1f})"{pale}>{label}</g>').format(
        x=x + 16,
        y=middle,
        pale=Markup(' opacity="0.6"') if pale else "",
        label=_label(x + 16, middle, _rounds(rounds)),
    )


def _rounds(rounds: int) -> str:
    return "1 iteration" if rounds == 1 else f"{rounds} iterations"


def _ends(record: Episode, place: _Places) -> Iterator[Markup]:
    yield _pill(place.middle, _EDGE, 64, "START", "")
    says = f"END: {end_of(record)}"
    fate = "failed" if record.error is not None else ""
    yield _pill(place.middle, place.end, max(64.0, _width(says) + 16), says, fate)


def _pill(middle: float, top: float, width: float, says: str, fate: str) -> Markup:
    return Markup(
        '<g class="end {fate}"><rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}" '
        'rx="12"/>{label}</g>'
    ).format(
        fate=fate,
        x=middle - width / 2,
        top=top,
        width=width,
        height=_PILL,
        label=_label(middle, top + 16.5, _short(says), bold=True),
    )


def _label(x: float, y: float, says: str, *, bold: bool = False) -> Markup:
    weight = Markup(' font-weight="600"') if bold else ""
    return Markup(
        '<text x="{:.1f}" y="{:.1f}" text-anchor="middle" fill="currentColor" stroke="none"{}>'
        "{}</text>"
    ).format(x, y, weight, says)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_SIGNS else f"{text[: _SHOWN_SIGNS - 1]}…"
