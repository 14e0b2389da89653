"""Draw what a bench found: a dot and its 95% interval for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def plot_intervals(
    rows: Sequence[Mapping[str, Any]],
    file: Path,
    *,
    series: str,
    value: str,
    axis: str,
    chance: float | None = None,
) -> None:
    """Write the picture; the ending of the file's name says in which format.

    Args:
        rows: Each with `data` (one group of dots each), the two keys below and `ci95`.
        file: Where to.
        series: The key that says what a dot is of; each has a colour.
        value: The key of the figure.
        axis: What the figure is, with its unit.
        chance: Where guessing would be, as a line.
    """
    from matplotlib.figure import Figure

    data = list(dict.fromkeys(row["data"] for row in rows))
    names = list(dict.fromkeys(row[series] for row in rows))
    step = len(names) + 1
    figure = Figure(figsize=(8, 1.2 + 0.22 * len(data) * step), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        number = names.index(row[series])
        place = data.index(row["data"]) * step + number
        low, high = row["ci95"]
        reach = [[row[value] - low], [high - row[value]]]
        axes.errorbar(row[value], place, xerr=reach, fmt="o", color=f"C{number}", capsize=3)
    ticks = [(data.index(row["data"]) * step + names.index(row[series]), row) for row in rows]
    labels = [f"{row['data']}  {row[series]}" for _, row in ticks]
    axes.set_yticks([place for place, _ in ticks], labels, fontsize=8)
    axes.invert_yaxis()
    if chance is not None:
        axes.axvline(chance, color="grey", linestyle=":", label="chance")
        axes.legend(loc="lower right")
    axes.set_xlabel(axis)
    figure.savefig(file)
