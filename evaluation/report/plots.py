"""Plots of the report: gains with intervals, gains by number of own texts, training curves.

All fit a phone's width, so arms are listed vertically; gains are paired differences to the arm
without context.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..scores.verdicts import NOTHING
from .html import signed
from .svg import FOUR, INK, LINE, ONE, SOFT, THREE, TWO, drawing_style, new_figure, to_svg

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

    from .records import ArmRow, Figure

KINDS = {"main": "arms", "control": "controls", "floor": "floors, no model"}
_LOOKS = {"main": (ONE, "o"), "control": (TWO, "s"), "floor": (THREE, "D")}
_OTHER_LOOK = (FOUR, "v")

_LONGEST = 24
"""Maximum number of characters of a name; `random_preference` has 17."""

_ROW = 17
"""Height of an arm's row, in units of the picture."""


def plot_gains(arms: Sequence[ArmRow], name: str, label: str) -> Markup | None:
    """Draw the forest plot: each arm's gain, grouped into arms, controls and floors.

    Thick lines are 95% intervals, thin ones those after Holm's correction. Arms and controls set
    the scale: an arrow at the edge marks a value beyond it, such as a very weak floor.

    Args:
        arms: Arms of one case; those without a gain, such as the baseline, are left out.
        name: Prefix of ids.
        label: Accessible label.

    Returns:
        The picture, or None if there is no gain to draw.
    """
    groups = [
        (kind, [arm for arm in arms if arm.kind == kind and _drawable(arm)]) for kind in KINDS
    ]
    groups = [(kind, group) for kind, group in groups if group]
    if not groups:
        return None
    rows = sum(len(group) + 1 for _, group in groups)
    with drawing_style():
        figure = new_figure(_ROW * rows + 48)
        axes = figure.subplots()
        labels: list[str] = []
        low, high = _scale(arms)
        for kind, group in groups:
            labels.append(KINDS[kind])
            for arm in group:
                _forest_row(axes, len(labels), arm, low, high)
                labels.append(_short(arm.arm))
        _frame(axes, labels, headings=set(KINDS.values()), axis=_axis(groups[0][1][0]))
        axes.set_xlim(low, high)
        return to_svg(figure, name, label)


def plot_buckets(arms: Sequence[ArmRow], name: str, label: str) -> Markup | None:
    """Draw each main arm's gain among users with 0, 1 and 2 or more own texts."""
    chosen = [arm for arm in arms if arm.kind == "main" and any(_buckets(arm))]
    if not chosen:
        return None
    buckets = list(dict.fromkeys(bucket for arm in chosen for bucket, _ in _buckets(arm)))
    looks = dict(zip(buckets, ((ONE, "o"), (TWO, "s"), (THREE, "D"), (FOUR, "v")), strict=False))
    with drawing_style():
        step = 0.8 / max(len(buckets), 1)
        figure = new_figure((10 + 11 * len(buckets)) * len(chosen) + 74)
        axes = figure.subplots()
        for row, arm in enumerate(chosen):
            for bucket, gain in _buckets(arm):
                place = row + (buckets.index(bucket) - (len(buckets) - 1) / 2) * step
                colour, marker = looks.get(bucket, _OTHER_LOOK)
                _interval(axes, place, gain, colour, marker)
        for bucket, (colour, marker) in looks.items():
            axes.plot([], [], color=colour, marker=marker, markersize=4, label=_texts(bucket))
        _frame(axes, [_short(arm.arm) for arm in chosen], headings=set(), axis=_axis(chosen[0]))
        figure.legend(loc="outside upper left", ncols=len(looks), handlelength=1.4)
        return to_svg(figure, name, label)


def plot_histories(arms: Sequence[ArmRow], name: str, label: str) -> Markup | None:
    """Draw each main arm's gain against the number of known own texts, one panel per arm."""
    chosen = [arm for arm in arms if arm.kind == "main" and _drawable(arm)]
    histories = sorted({arm.history for arm in chosen}, key=_order)
    names = list(dict.fromkeys(arm.arm for arm in chosen))
    if len(histories) < 2:
        return None
    lines = math.ceil(len(names) / 2)
    with drawing_style():
        figure = new_figure(112 * lines + 56)
        panels = list(figure.subplots(lines, 2, sharex=True, sharey=True, squeeze=False).flat)
        for panel, arm_name in zip(panels, names, strict=False):
            own = {arm.history: arm.gain for arm in chosen if arm.arm == arm_name}
            _history_panel(panel, [own.get(history) for history in histories])
            panel.set_title(_short(arm_name), loc="left", color=INK)
            panel.set_xticks(range(len(histories)), map(_short, histories))
        for panel in panels[len(names) :]:
            panel.set_axis_off()
        figure.supxlabel("own texts known", fontsize=10.5, color=SOFT)
        figure.suptitle(_axis(chosen[0]), fontsize=10.5, color=SOFT)
        return to_svg(figure, name, label)


def plot_curves(
    curve: Mapping[str, Sequence[float | None]], name: str, label: str
) -> Markup | None:
    """Draw the recorded training metrics of an adapter by step, one panel per metric."""
    steps = curve.get("steps", [])
    drawn = {key: values for key, values in curve.items() if key != "steps" and values}
    if not steps or not drawn:
        return None
    with drawing_style():
        figure = new_figure(92 * len(drawn) + 30)
        panels = figure.subplots(len(drawn), 1, sharex=True, squeeze=False).flat
        for panel, (key, values) in zip(panels, drawn.items(), strict=True):
            known = [(x, y) for x, y in zip(steps, values, strict=False) if y is not None]
            panel.plot(
                *zip(*known, strict=True), color=ONE, linewidth=1.5, marker="o", markersize=2.5
            )
            panel.set_title(_short(key.replace("_", " ")), loc="left", color=INK)
            panel.grid(axis="y")
            panel.margins(y=0.15)
        panel.set_xlabel("step")
        return to_svg(figure, name, label)


def _scale(arms: Sequence[ArmRow]) -> tuple[float, float]:
    """Return the limits of the forest plot's axis."""
    gains = [arm.gain for arm in arms if arm.gain is not None and _drawable(arm)]
    told = [arm.gain for arm in arms if arm.gain is not None and arm.kind != "floor"]
    reached = [2 * NOTHING, -2 * NOTHING]
    for gain in told or gains:
        reached += _ends(gain.holm) or _ends(gain.ci95) or []
        reached += [_mean(gain)] if _finite(gain.mean) else []
    room = 0.05 * (max(reached) - min(reached))
    return min(reached) - room, max(reached) + room


def _forest_row(axes: Axes, place: int, arm: ArmRow, low: float, high: float) -> None:
    assert arm.gain is not None and arm.gain.mean is not None
    colour, marker = _LOOKS[arm.kind]
    if low <= arm.gain.mean <= high:
        if (ends := _ends(arm.gain.holm)) is not None:
            axes.plot(ends, [place] * 2, color=colour, linewidth=1, solid_capstyle="butt")
        _interval(axes, place, arm.gain, colour, marker, thick=2.6)
    else:
        inside = 0.02 * (high - low)
        edge, arrow = (low + inside, "<") if arm.gain.mean < low else (high - inside, ">")
        axes.plot([edge], [place], color=colour, marker=arrow, markersize=6)
    axes.annotate(
        signed(arm.gain.mean),
        (1.02, place),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=10,
        color=INK,
    )


def _interval(
    axes: Axes, place: float, gain: Figure, colour: str, marker: str, thick: float = 1.8
) -> None:
    if (ends := _ends(gain.ci95)) is not None:
        axes.plot(ends, [place, place], color=colour, linewidth=thick, solid_capstyle="butt")
    axes.plot([_mean(gain)], [place], color=colour, marker=marker, markersize=4.5)


def _history_panel(panel: Axes, gains: Sequence[Figure | None]) -> None:
    known = [(at, gain) for at, gain in enumerate(gains) if gain is not None]
    panel.axhspan(-NOTHING, NOTHING, color=SOFT, alpha=0.1, linewidth=0)
    panel.axhline(0, color=SOFT, linewidth=0.9)
    means = [_mean(gain) for _, gain in known]
    panel.plot([at for at, _ in known], means, color=ONE, marker="o", markersize=4, linewidth=1.2)
    for at, gain in known:
        if (ends := _ends(gain.ci95)) is not None:
            panel.plot([at, at], ends, color=ONE, linewidth=1.8, solid_capstyle="butt")
    panel.margins(x=0.12)


def _frame(axes: Axes, labels: Sequence[str], *, headings: set[str], axis: str) -> None:
    """Add what all horizontal plots of gains share: zero, the negligible band, row labels."""
    axes.axvspan(-NOTHING, NOTHING, color=SOFT, alpha=0.1, linewidth=0, zorder=0)
    axes.axvline(0, color=SOFT, linewidth=0.9, zorder=0.5)
    axes.set_yticks(range(len(labels)), labels)
    for tick, text in zip(axes.get_yticklabels(), labels, strict=True):
        if text in headings:
            tick.set(color=SOFT, fontweight="bold")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.set_xlabel(axis)


def _axis(arm: ArmRow) -> str:
    assert arm.gain is not None
    return f"gain in {_short(arm.gain.metric)} over {_short(arm.gain.against)}"


def _drawable(arm: ArmRow) -> bool:
    return arm.gain is not None and _finite(arm.gain.mean)


def _buckets(arm: ArmRow) -> Iterator[tuple[str, Figure]]:
    """Yield the buckets of an arm that have a gain."""
    if arm.gain is not None:
        for bucket in arm.by_history:
            if bucket.gain is not None and _finite(bucket.gain.mean):
                yield bucket.bucket, bucket.gain


def _texts(bucket: str) -> str:
    return "1 own text" if bucket == "1" else f"{_short(bucket)} own texts"


def _short(name: str) -> str:
    """Shorten a name to the space in the plot."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _order(history: str) -> tuple[bool, float, str]:
    """Sort by the number of texts, with words such as `all` last."""
    return (not history.isdigit(), float(history) if history.isdigit() else 0.0, history)


def _mean(figure: Figure) -> float:
    return math.nan if figure.mean is None else figure.mean


def _ends(bounds: Sequence[float | None] | None) -> list[float] | None:
    """Return the ends of a finite interval, else None."""
    ends = [bound for bound in bounds or () if bound is not None and math.isfinite(bound)]
    return ends if len(ends) == 2 else None


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
