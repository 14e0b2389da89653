"""Plots of the benches: figures with their 95% intervals, and latencies of searches."""

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
    """Write a plot of a dot and its 95% interval for each row.

    Args:
        rows: Each with `data` (one group of dots each), the two keys below and `ci95`.
        file: To write; its suffix decides the format.
        series: The key of the series; each has a colour.
        value: The key of the figure.
        axis: Label of the figure, with its unit.
        chance: Value of guessing, drawn as a line.
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


MARKERS = {"style": "o", "preference": "s", "both": "D"}


def plot_latency(
    rows: Sequence[Mapping[str, Any]], baselines: Sequence[Mapping[str, Any]], file: Path
) -> None:
    """Write a plot of latency by number of texts: medians as lines, bands up to p95; log axes.

    Args:
        rows: Of `bench retrieval`; those over all queries are drawn.
        baselines: Of the same run.
        file: To write; its suffix decides the format.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    kinds = [(row["trajectory"], row) for row in rows if row["part"] == "all"]
    kinds += [(row["system"], row) for row in baselines]
    for number, name in enumerate(dict.fromkeys(name for name, _ in kinds)):
        own = sorted((row for kind, row in kinds if kind == name), key=lambda row: row["texts"])
        texts = [row["texts"] for row in own]
        low, high = [row["p50_ms"] for row in own], [row["p95_ms"] for row in own]
        marker, line = MARKERS.get(name, "x"), "-" if name in MARKERS else "--"
        axes.plot(texts, low, line, marker=marker, color=f"C{number}", label=name)
        if len(texts) > 1:
            axes.fill_between(texts, low, high, color=f"C{number}", alpha=0.15)
        axes.scatter(texts, high, marker="_", color=f"C{number}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("texts in the store")
    axes.set_ylabel("milliseconds a search (median; band up to the 95th percentile)")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(file, dpi=150)
