"""A result as people read it in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

from .output import stdout

if TYPE_CHECKING:
    from ..nodes.state import Evidence, Result

SHOWN_CHARACTERS = 160


def show_result(result: Result) -> None:
    """Print the draft first, then what led to it."""
    stdout.print(Panel(escape(result.text) or "[dim](empty)[/dim]", title="draft", expand=True))
    for side, summary in result.summaries.items():
        said = escape(summary) if summary is not None else "[dim]abstained[/dim]"
        stdout.print(f"[bold]{side}[/bold]: {said}")
    if result.own:
        show_evidence("the user's own texts", result.own)
    for side, pieces in result.evidence.items():
        show_evidence(f"{side} evidence", pieces)
    sure = ", ".join(f"{side} {value:.2f}" for side, value in result.confidence.items())
    rounds = "1 iteration" if result.iterations == 1 else f"{result.iterations} iterations"
    stdout.print(
        f"[dim]{rounds}, stopped: {result.stop_reason}; history: {result.cold_start}; "
        f"confidence: {sure}; {result.timings.get('total', 0.0):.1f} s; "
        f"run {result.run_id[:12]}[/dim]"
    )
    for warning in result.warnings:
        stdout.print(f"[yellow]{escape(warning)}[/yellow]")


def show_evidence(heading: str, pieces: Sequence[Evidence]) -> None:
    """Print a table of evidence: who, score, why, and the text's beginning."""
    if not pieces:
        stdout.print(f"[dim]no {heading}[/dim]")
        return
    table = Table(title=heading, title_justify="left", box=None, expand=False, pad_edge=False)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("who", max_width=22)
    table.add_column("about", max_width=24)
    table.add_column("text and reason", overflow="fold")
    for piece in pieces:
        body = escape(shorten(piece.body))
        reason = f"[dim]{escape(piece.reason)}[/dim]"
        table.add_row(
            f"{piece.score:.3f}", escape(piece.user_id), escape(piece.topic_id), f"{body}\n{reason}"
        )
    stdout.print(Padding(table, (0, 0, 1, 0)))


def shorten(text: str, characters: int = SHOWN_CHARACTERS) -> str:
    """Return a text on one line, cut with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= characters else f"{line[: characters - 1].rstrip()}…"
