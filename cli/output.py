"""What commands print: one JSON object for programs, tables and lines for people, errors.

Results go to stdout, progress and warnings to stderr. An error is one line and a non-zero exit;
a traceback is a bug.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console

T = TypeVar("T")

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object, and nothing else, on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def fail(message: str) -> NoReturn:
    """Print an error on one line of stderr and exit with 1."""
    line = " ".join(str(message).split())
    typer.echo(f"patlm: {line}", err=True)
    raise typer.Exit(1)


def warn(message: str) -> None:
    """Print a warning on one line of stderr."""
    typer.echo(f"warning: {' '.join(message.split())}", err=True)


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's coroutine; what goes wrong on purpose becomes one line."""
    with errors_as_lines():
        return asyncio.run(main())


@contextmanager
def errors_as_lines() -> Iterator[None]:
    """Turn errors that are told on purpose into one line and exit code 1."""
    from pydantic import ValidationError

    from ..models.errors import ModelError
    from ..nodes.errors import LoopError
    from ..stores.errors import StoreError
    from ..stores.file_rows import FormatError
    from ..training.errors import TrainingError

    try:
        yield
    except (LoopError, ModelError, StoreError, FormatError, TrainingError) as error:
        fail(str(error))
    except ValidationError as error:  # settings from the environment
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        fail(f"PATLM_{name}: {first['msg'].lower()}, got {first['input']!r}")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        fail(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        # 130 = 128 + SIGINT. Threads that compute can't be stopped: leave without waiting.
        os._exit(130)
