"""How far a long command is: a bar with the time left, or lines where nobody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..training.watch import Watch


@contextmanager
def progress() -> Iterator[Watch]:
    """Show a bar with the time left on stderr; ten lines where there is no terminal to draw on."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from .bench_options import say
    from .output import stderr

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=stderr,
        disable=not stderr.is_terminal,
    )

    class Bar:
        """A `Watch` that draws."""

        def say(self, part: str) -> None:
            say(part)

        def begin(self, items: int, done: int, things: str) -> None:
            self._bar = bar.add_task(things, total=items, completed=done)
            self._things, self._left, self._every = things, items - done, max(1, items // 10)
            say(f"{items} {things}, {done} of them done before")

        def advance(self, item: object) -> None:
            bar.advance(self._bar)
            self._left -= 1
            if bar.disable and self._left % self._every == 0:
                say(f"{self._left} {self._things} left")

    with bar:
        yield Bar()
