"""`patlm episodes`: check, show, count and export records of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

from ..options import JsonOption, from_list
from ..output import echo, emit_json, errors_as_lines, fail, shorten, stdout, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...stores.episodes.schema import Episode, Group, Sample
    from ...stores.episodes.stats import EpisodeCounts
    from ...stores.files import DamagedLine

app = typer.Typer(help="Check, show, count and export records of runs.", no_args_is_help=True)

PathArgument = Annotated[
    Path, typer.Argument(help="Shard, or folder of shards.", show_default=False)
]


def _roles() -> Iterable[str]:
    from ...graph.settings import ROLES

    return ROLES


@app.command("check")
def check(path: PathArgument, json: JsonOption = False) -> None:
    """Read every line, print invalid ones, and exit with 1 if there are any."""
    from ...stores.episodes.stats import check_episodes

    episodes = 0

    def count(_: Episode) -> None:
        nonlocal episodes
        episodes += 1

    with errors_as_lines():
        faults = []
        for fault in check_episodes(path, on_episode=count):
            faults.append({"file": str(fault.path), "line": fault.line, "reason": fault.reason})
            if not json:
                echo(str(fault))
    if json:
        emit_json({"ok": not faults, "episodes": episodes, "faults": faults})
    else:
        echo(f"{path}: episodes {episodes:,}, faults {len(faults):,}")
    if faults:
        raise typer.Exit(1)


@app.command("show")
def show(
    path: PathArgument,
    run: Annotated[
        str | None,
        typer.Option(help="Beginning of a run id. Default: the latest run with candidates."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show the candidates of an episode, group by group, with their rewards."""
    with errors_as_lines():
        chosen: Episode | None = None
        for episode in _read(path):
            wanted = episode.groups if run is None else episode.run_id.startswith(run)
            if wanted and (chosen is None or episode.created >= chosen.created):
                chosen = episode
    if chosen is None:
        which = "episode with candidates" if run is None else f"run {run}"
        fail(f"no {which} in {path}: collect some with `patlm collect`")
    if json:
        emit_json({"episode": chosen.model_dump(mode="json")})
    else:
        show_groups(chosen)


@app.command("stats")
def stats(path: PathArgument, json: JsonOption = False) -> None:
    """Count episodes, samples and groups by role, and how many cannot be learned from."""
    from ...stores.episodes.stats import count_episodes

    with errors_as_lines():
        left_out: Counter[str] = Counter()
        counts = count_episodes(_read(path, left_out))
    if json:
        emit_json({**counts.as_dict(), "damaged": left_out["damaged"]})
    else:
        _show_counts(counts)
        _show_left_out(left_out)


@app.command("export")
def export(
    path: PathArgument,
    to: Annotated[
        Path,
        typer.Option(
            help="File ending in .parquet, or folder for Dataset.load_from_disk.",
            show_default=False,
        ),
    ],
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            help="Only samples of this role: style, preference or integrate.",
            show_default=False,
            callback=from_list("--role", _roles),
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write all samples as a table: a Parquet file, or a Hugging Face Dataset.

    It contains what people wrote: `patlm forget` removes it with who is in it.
    """
    from ...stores.copies.ledger import note_copy
    from ...training.data.export import export_samples

    left_out: Counter[str] = Counter()
    with errors_as_lines():
        note_copy("export", to, of=path)
        samples = export_samples(_read(path, left_out), to, role=role, skipped=left_out)
    if json:
        emit_json({"samples": samples, "to": str(to), "skipped_by": dict(left_out)})
    else:
        echo(f"{to}: {samples:,} samples")
        _show_left_out(left_out)


def _read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Episode]:
    """Yield the records; lines that are none are named, and counted as `damaged`."""
    from ...stores.episodes.shards import read_episodes

    def report(damaged: DamagedLine) -> None:
        warn(str(damaged))
        if left_out is not None:
            left_out["damaged"] += 1

    return read_episodes(path, report=report)


def _show_left_out(left_out: Counter[str]) -> None:
    for reason, number in left_out.items():
        echo(f"left out: {number:,} {reason}")


def _show_counts(counts: EpisodeCounts) -> None:
    found = counts.as_dict()
    for name in ("episodes", "redacted", "failed_runs", "samples", "groups"):
        stdout.print(f"{name.replace('_', ' '):>14}  {found[name]:,}")
    said = ", ".join(f"{name} {_say(value)}" for name, value in found["feedback"].items())
    stdout.print(f"{'feedback':>14}  {said}")
    kinds = ("samples", "trainable", "failed", "inexact", "groups", "zero_variance")
    table = _table("role", *kinds)
    rewards = _table("role", "iteration", "candidates", "reward", "differential", "extractive")
    for role, of_role in found["by_role"].items():
        table.add_row(escape(role), *(f"{of_role[name]:,}" for name in kinds))
        for at, figures in of_role["rewards"].items():
            rewards.add_row(escape(role), at, *map(_say, figures.values()))
    stdout.print(table)
    if rewards.row_count:
        stdout.print(rewards)


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    return table


def _say(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else f"{value}"


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
        stdout.print(f"[bold]real text[/bold]: {escape(shorten(episode.target.real))}")
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
    """Print the rewards on one line, then summary and draft in full width."""
    made = "" if sample.trainable else f" [dim]({escape(sample.model)})[/dim]"
    rewards = f"reward {_figure(sample.reward)}, differential {_figure(sample.differential, '+')}"
    stdout.print(f"[bold]{rewards}[/bold]{made}")
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
