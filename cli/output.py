"""Output of commands: one JSON object for programs, tables and lines for people, errors.

Results go to stdout, progress and warnings to stderr. An error is one line and exit code 2 if an
argument is wrong, which is what a ValueError says, and 1 otherwise; a traceback is a bug.
Everything is printed by `stdout`, `stderr`, `echo` or `emit_json`: they show the control characters
of texts instead of sending them to the terminal.
"""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..models.sanitise import visible

if TYPE_CHECKING:
    from ..evaluation.progress import Watch
    from ..nodes.state import Evidence, Result

T = TypeVar("T")


class _VisibleConsole(Console):
    """Makes the control characters of every string visible: lines, cells, titles."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)

    @property
    def redraws(self) -> bool:
        """Whether lines can be drawn anew; FORCE_COLOR asks for colours in a file, not for this."""
        return self.is_terminal and self.file.isatty()


stdout = _VisibleConsole(highlight=False, emoji=False, soft_wrap=True)
stderr = _VisibleConsole(stderr=True, highlight=False, emoji=False, soft_wrap=True)


class _Stdout(io.TextIOWrapper):
    """The program's stdout: an error to write names it, as that of a file names the file."""

    def write(self, text: str) -> int:
        with self._named():
            return super().write(text)

    def flush(self) -> None:
        with self._named():
            super().flush()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, "stdout") from error


class _Closed(io.RawIOBase):
    """Stands for a stdout that was closed before the program began."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raise OSError(errno.EBADF, "it is closed", "stdout")


@contextmanager
def own_streams() -> Iterator[None]:
    """Make stdout and stderr fit for texts of strangers, and faults of stdout one line.

    What their encoding lacks is printed as an escape. Where stdout is full or closed, the command
    ends with one line and exit code 1; a reader that has gone is no fault.
    """
    while (spare := os.open(os.devnull, os.O_WRONLY)) <= 2:  # no file may take a closed stream's
        pass
    os.close(spare)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = _Stdout(io.BufferedWriter(_Closed()), encoding="utf-8")
    elif sys.stdout is sys.__stdout__ and type(sys.stdout) is io.TextIOWrapper:
        was = sys.stdout
        as_it_was: dict[str, Any] = {
            "encoding": was.encoding,
            "line_buffering": was.line_buffering,
            "write_through": was.write_through,
        }
        sys.stdout = _Stdout(was.detach(), **as_it_was)
        sys.__stdout__ = sys.stdout  # type: ignore[misc]  # the one before can't be used
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _faults_of_stdout():
            yield
    finally:
        with _faults_of_stdout():
            sys.stdout.flush()


@contextmanager
def _faults_of_stdout() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename != "stdout":
            raise
        _drop_output()
        if not isinstance(error, BrokenPipeError):
            echo(f"patlm: {error.filename}: {error.strerror}", err=True)
        sys.exit(1)


def _drop_output() -> None:
    """Send what stdout still holds nowhere, so that Python does not fail on it at exit."""
    if isinstance(sys.stdout, _Stdout):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object, and nothing else, on stdout; it is plain ASCII."""
    # The one control character that JSON leaves as it is; `echo` would make it no JSON.
    echo(json.dumps(value, default=str).replace("\x7f", "\\u007f"))


def echo(text: str = "", *, nl: bool = True, err: bool = False) -> None:
    """Print a text as it is, neither wrapped nor read as markup, on stdout or stderr."""
    # Not `typer.echo`: it would write UTF-8 on an ASCII console.
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{visible(text)}\n" if nl else visible(text))
    stream.flush()


def fail(message: str, code: int = 1) -> NoReturn:
    """Print an error on one line of stderr and exit."""
    from ..stores.errors import shorten_message

    echo(f"patlm: {shorten_message(str(message))}", err=True)
    raise typer.Exit(code)


def warn(message: str) -> None:
    """Print a warning on one line of stderr."""
    from ..stores.errors import shorten_message

    echo(f"warning: {shorten_message(message)}", err=True)


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's coroutine; expected errors become one line."""
    with errors_as_lines():
        return asyncio.run(main())


@contextmanager
def errors_as_lines() -> Iterator[None]:
    """Turn expected errors into one line and an exit code: 2 for a wrong argument, else 1."""
    from pydantic import ValidationError

    from ..evaluation.errors import EvaluationError
    from ..models.errors import ModelError
    from ..nodes.errors import LoopError, SettingsError
    from ..stores.datasets.validation import FormatError
    from ..stores.errors import InvalidField, StoreError

    try:
        yield
    except (LoopError, ModelError, StoreError, FormatError, EvaluationError) as error:
        fail(str(error), code=2 if isinstance(error, (ValueError, SettingsError)) else 1)
    except ValidationError as error:  # settings from the environment
        field = InvalidField.of(error)
        fail(field.with_value(f"PATLM_{field.place.replace('.', '_').upper()}"), code=2)
    except BrokenPipeError:  # the reader of stdout has gone: click ends the program silently
        raise
    except OSError as error:
        if error.filename == "stdout":
            raise
        place = f"{error.filename}: " if error.filename else ""
        fail(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        echo("stopped", err=True)
        # 130 = 128 + SIGINT. Computing threads cannot be stopped: exit without waiting.
        os._exit(130)


@contextmanager
def progress() -> Iterator[Watch]:
    """Show a bar with the remaining time on stderr; without a terminal, ten lines."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=stderr,
        disable=not stderr.redraws,
    )

    class ProgressBar:
        """A `Watch` that draws a progress bar."""

        def say(self, part: str) -> None:
            say(part)

        def begin(self, items: int, done: int, things: str) -> None:
            self._bar = bar.add_task(things, total=items, completed=done)
            self._things, self._left, self._every = things, items - done, max(1, items // 10)
            say(f"{items} {things}, {done} already done")

        def advance(self, item: object) -> None:
            bar.advance(self._bar)
            self._left -= 1
            if bar.disable and self._left % self._every == 0:
                say(f"{self._left} {self._things} left")

    with bar:
        yield ProgressBar()


SHOWN_CHARACTERS = 160


def show_details(result: Result) -> None:
    """Print summaries and evidence of a run, and how sure each side is."""
    for side, summary in result.summaries.items():
        said = escape(summary) if summary is not None else "[dim]abstained[/dim]"
        stdout.print(f"[bold]{escape(side)}[/bold]: {said}")
    if result.own:
        show_evidence("the user's own texts", result.own)
    for side, pieces in result.evidence.items():
        show_evidence(f"{side} evidence", pieces)
    sure = ", ".join(f"{side} {value:.2f}" for side, value in result.confidence.items())
    stdout.print(f"[dim]confidence: {escape(sure)}[/dim]")


def show_evidence(heading: str, pieces: Sequence[Evidence]) -> None:
    """Print a table of evidence: score, author, topic, beginning of the text and reason."""
    if not pieces:
        stdout.print(f"[dim]no {escape(heading)}[/dim]")
        return
    table = Table(
        title=escape(heading), title_justify="left", box=None, expand=False, pad_edge=False
    )
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("author", max_width=22)
    table.add_column("topic", max_width=24)
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


def date_of(milliseconds: int) -> str:
    """Return a time as people read it, in UTC; one beyond the calendar as its milliseconds."""
    try:
        return f"{datetime.fromtimestamp(milliseconds // 1000, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # a store of an earlier version may hold one
        return f"{milliseconds} ms"


DataOption = Annotated[
    list[Path], typer.Option("--data", metavar="<path>", help="File of texts; repeatable.")
]
_PLOTS = (".png", ".svg", ".pdf")


def _check_plot(file: Any) -> Any:
    from ..stores.errors import shortened

    if file is not None and Path(file).suffix.lower() not in _PLOTS:
        raise typer.BadParameter(
            f"expected a file that ends in {', '.join(_PLOTS)}, got {shortened(str(file))}"
        )
    return file


PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", help="Write a plot to this file (png, svg, pdf).", callback=_check_plot),
]


def say(part: str) -> None:
    """Print the next step and the time on stderr."""
    stderr.print(f"{time.strftime('%H:%M:%S')}  {part}", highlight=False)
