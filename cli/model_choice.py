"""Which model a command uses: chosen, told and converted, with a bar while that takes time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .output import echo, stderr

SECONDS_BETWEEN_LINES = 5.0


def ready(model: str, dtype: str = "auto") -> str:
    """Choose the model that `auto` stands for, say it, and convert it if that is still to be done.

    Args:
        model: As `PATLM_MODEL` names it.
        dtype: Number format of the weights.

    Returns:
        The model's name: that of the chosen one for `auto`.

    Raises:
        ModelError: It is not installed, or no installed model fits into memory.
    """
    from ..models.catalogue import AUTO, CATALOGUE, SMALLEST
    from ..models.installed import model_path
    from ..models.open import resolved_name

    name = resolved_name(model, dtype)
    if name in CATALOGUE:
        with progress_bar() as report:
            model_path(name, report)
    if model == AUTO:
        poor = f" It is {CATALOGUE[name].about}." if name == SMALLEST else ""
        stderr.print(f"[dim]model: {name}, the best installed that fits into memory.{poor}[/dim]")
    return name


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Yield a function that shows progress on stderr: a bar, without a terminal a line at times."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    text = TextColumn("{task.description}")
    with Progress(
        *columns, text, console=stderr, disable=not stderr.redraws, transient=True
    ) as bar:
        task = bar.add_task("", total=1.0, start=False)
        told = 0.0

        def report(share: float, doing: str) -> None:
            nonlocal told
            bar.start_task(task)
            bar.update(task, completed=share, description=doing)
            now = time.monotonic()
            if bar.disable and now - told >= SECONDS_BETWEEN_LINES:
                told = now
                echo(f"{share:4.0%} {doing}", err=True)

        yield report
