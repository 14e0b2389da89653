"""Convert the bundled weights before a command needs them, under a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def convert_bundled(model: str) -> None:
    """Convert the bundled language model if it is the one named and has not been converted yet.

    Raises:
        ModelError: Its package is missing.
    """
    if model != "bundled":
        return
    from ..models.bundled import chat_model_path, installed_models

    if any(found.converted is False for found in installed_models()):
        with progress_bar() as report:
            chat_model_path(report)


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Show a bar on stderr, where somebody looks at it; yields what moves it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from .output import stderr

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("bundled model", total=1.0)

        def report(share: float, doing: str) -> None:
            bar.update(task, completed=share, description=doing)

        yield report
