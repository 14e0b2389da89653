"""Groups of candidates as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.rule import Rule

from .output import stdout
from .result_view import shorten

if TYPE_CHECKING:
    from ..stores.episode_schema import Episode, Group, Sample


def show_groups(episode: Episode) -> None:
    """Print an episode's groups: each candidate with its draft and rewards."""
    when = f"{episode.created:%Y-%m-%d %H:%M:%S} UTC"
    stdout.print(Rule(f"run {escape(episode.run_id[:12])}, {when}"))
    if episode.redacted is not None:
        stdout.print(f"emptied on {episode.redacted:%Y-%m-%d}: a person in it was forgotten")
    for name, value in episode.request.items():
        if value is not None:
            stdout.print(f"[bold]{escape(name)}[/bold]: {escape(shorten(str(value)))}")
    if episode.target is not None:
        stdout.print(f"[bold]really written[/bold]: {escape(shorten(episode.target.real))}")
    for group in episode.groups:
        _show_group(group, episode.candidates(group.id))
    if not episode.groups:
        stdout.print("no candidates were drawn")
    for said in episode.feedback:
        told = said.model_dump(exclude={"run_id", "created"}, exclude_none=True)
        words = ", ".join(f"{name} {value}" for name, value in told.items())
        stdout.print(f"[bold]feedback[/bold] of {said.created:%Y-%m-%d %H:%M}: {escape(words)}")


def groups_line(episode: Episode) -> str:
    """Return how many candidates were drawn, in a line."""
    drawn = [len(episode.candidates(group.id)) for group in episode.groups]
    groups = "1 group" if len(drawn) == 1 else f"{len(drawn)} groups"
    return f"{sum(drawn)} candidates in {groups}: see patlm episodes show"


def _show_group(group: Group, candidates: Sequence[Sample]) -> None:
    stdout.print(Rule(escape(f"{group.role}, iteration {group.iteration}"), align="left"))
    for side, summary in group.held.items():
        held = escape(summary) if summary is not None else "[dim]abstained[/dim]"
        stdout.print(f"held, {escape(side)}: {held}")
    without = escape(shorten(group.without_draft)) if group.without_draft is not None else "failed"
    stdout.print(f"draft without {escape(group.role)} ({_figure(group.without_value)}): {without}")
    for sample in sorted(candidates, key=_by_reward):
        _show_candidate(sample)


def _show_candidate(sample: Sample) -> None:
    """Print what it is worth on a line, then what was written, which has the whole width."""
    made = "" if sample.trainable else f" [dim]({escape(sample.model)})[/dim]"
    worth = f"reward {_figure(sample.reward)}, differential {_figure(sample.differential, '+')}"
    stdout.print(f"[bold]{worth}[/bold]{made}")
    if sample.error is not None:
        stdout.print(f"  [red]failed: {escape(sample.error)}[/red]")
        return
    stdout.print(f"  {escape(shorten(sample.text or ''))}")
    stdout.print(f"  [dim]draft: {escape(shorten(sample.draft or ''))}[/dim]")
    parts = [f"{name} {_figure(value)}" for name, value in sample.rewards.items()]
    stdout.print(f"  [dim]{escape(', '.join(parts))}[/dim]")


def _by_reward(sample: Sample) -> float:
    return float("inf") if sample.reward is None else -sample.reward


def _figure(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.3f}"
