"""`patlm serve-stats`: queue, batches, speeds and times of the processes that serve."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import JsonOption

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from ..models.stats_file import ProcessStats
    from ..models.telemetry import Figures, Spread

_EVERY_S = 1.0
_COLUMNS = (
    "role",
    "calls",
    "failed",
    "batch",
    "new/s",
    "read/s",
    "first ms",
    "total ms",
    "capture",
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("serve-stats")(serve_stats)


def serve_stats(
    stats: Annotated[
        Path | None,
        typer.Option(
            "--stats",
            envvar="PATLM_STATS",
            help="Folder that the serving processes write to.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every second.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Show processes that ended, too.")] = False,
    json: JsonOption = False,
) -> None:
    """Show how running processes serve: queue, batch sizes, tokens/s, times, by role.

    A process writes its numbers where it was started with PATLM_STATS.
    """
    from .output import emit_json, errors_as_lines, fail, stdout, warn

    if stats is None:
        fail("no folder is named: give --stats DIR, the PATLM_STATS of the serving process")
    if watch and json:
        raise typer.BadParameter("--watch draws tables for people: leave out one of the two")
    with errors_as_lines():
        if watch:
            _watch(stats, every)
            return
        shown, ended = _read(stats, every, warn)
    if json:
        emit_json({"processes": [_row(record) for record in shown], "ended": ended})
        return
    stdout.print(_picture(stats, shown, ended), soft_wrap=not shown)  # tables keep to the width


def _watch(folder: Path, every: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    # Not that of other results: it lets long lines run on, and Live has to know how many there are.
    console = Console(highlight=False)
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while True:
            # Without warnings: each would come again every second and tear the picture.
            shown, ended = _read(folder, every, lambda fault: None)
            live.update(_picture(folder, shown, ended), refresh=True)
            sleep(_EVERY_S)


def _read(
    folder: Path, every: bool, report: Callable[[str], None]
) -> tuple[list[ProcessStats], int]:
    """Return the processes to be shown, and how many have ended."""
    from ..models.stats_file import read_stats

    found = read_stats(folder, report)
    running = [record for record in found if record.running()]
    return (found if every else running), len(found) - len(running)


def _row(record: ProcessStats) -> dict[str, Any]:
    return {**record.model_dump(mode="json"), "running": record.running()}


def _picture(folder: Path, shown: list[ProcessStats], ended: int) -> Group:
    from rich.console import Group
    from rich.text import Text

    if shown:
        return Group(*(part for record in shown for part in (_table(record), _says(record))))
    left = f"; {ended} that ended: --all shows them" if ended else ""
    return Group(Text(f"nothing is serving: no running process writes to {folder}{left}"))


def _table(record: ProcessStats) -> Table:
    from datetime import UTC, datetime

    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    age = max(0.0, (datetime.now(UTC) - record.updated).total_seconds())
    told = f"{age:.0f} s ago" if record.running() else "ended"
    table = Table(
        box=SIMPLE_HEAD,
        title=Text(f"{record.model}, process {record.pid}, {told}"),
        title_justify="left",
        pad_edge=False,
        collapse_padding=True,
    )
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "role" else "right", no_wrap=True)
    for role, figures in record.stats.roles.items():
        table.add_row(Text(role), *_cells(figures))
    table.add_section()
    table.add_row("all", *_cells(record.stats.total))
    return table


def _says(record: ProcessStats) -> Text:
    from rich.text import Text

    total, adapters = record.stats.total, record.stats.adapters
    lines = (
        f"queue {record.stats.waiting}, {total.batches:,} batches of "
        f"{_number(total.batch_size_mean, 1)} calls, the last of {_number(total.batch_size_last)}",
        f"{_number(total.tokens_per_s)} new and {_number(total.prompt_tokens_per_s)} read tokens/s;"
        " times from being asked, p50/p95",
        f"calls by adapter: {', '.join(f'{name} {calls:,}' for name, calls in adapters.items())}",
    )
    return Text("\n".join(lines) + "\n")


def _cells(figures: Figures) -> tuple[str, ...]:
    capture = figures.capture_share
    return (
        f"{figures.calls:,}",
        f"{figures.failed:,}",
        _number(figures.batch_size_mean, 1),
        _number(figures.tokens_per_s),
        _number(figures.prompt_tokens_per_s),
        _both(figures.ttft_ms),
        _both(figures.total_ms),
        "-" if capture is None else f"{capture:.1%}",
    )


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _both(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.p50:.0f}/{spread.p95:.0f}"
