"""`patlm models`: install, list, remove and suggest language models."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from .model_choice import progress_bar
from .options import JsonOption
from .output import emit_json, errors_as_lines, stdout

app = typer.Typer(help="Install, list, remove and suggest models.", no_args_is_help=True)


@app.command("install")
def install_models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names from `patlm models list`. Default: the best language model for the free "
            "memory and disk of this machine.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Download models, check them against their published SHA-256, and convert them.

    The topic encoder is installed, too. PATLM_CACHE is the folder for models; PIP_EXTRA holds
    further options of pip, which downloads what a hub can't give. Started again after a stop, it
    continues.
    """
    from ..models.catalogue import TOPIC
    from ..models.installed import best_for_machine, entry, install

    with errors_as_lines():
        wanted = [entry(name).name for name in names or [best_for_machine().name]]
        for name in dict.fromkeys([TOPIC, *wanted]):
            with progress_bar() as report:
                install(name, report)
    _show(json)


@app.command("list")
def list_models(json: JsonOption = False) -> None:
    """List all models that can be installed: installed or not, size, memory, licence."""
    _show(json)


@app.command("remove")
def remove_model(
    name: Annotated[str, typer.Argument(help="Name from `patlm models list`.")],
    json: JsonOption = False,
) -> None:
    """Remove an installed model, and what a stopped download left of it."""
    from ..models.installed import remove

    with errors_as_lines():
        freed = remove(name)
    if json:
        emit_json({"name": name, "bytes": freed})
    else:
        stdout.print(f"{name}: removed, {freed / 1e9:.1f} GB freed")


@app.command("suggest")
def suggest_models(json: JsonOption = False) -> None:
    """Name models that fit into this machine's memory, with licence and what was measured."""
    from ..models.catalogue import CATALOGUE, SUGGESTIONS
    from ..models.device import free_memory
    from ..models.installed import free_disk, is_installed

    with errors_as_lines():
        free = free_memory()
    rows = [
        {
            **asdict(each),
            "fits": each.memory <= free,
            "installed": each.name in CATALOGUE and is_installed(CATALOGUE[each.name]),
        }
        for each in SUGGESTIONS
    ]
    if json:
        emit_json({"memory_free": free, "disk_free": free_disk(), "models": rows})
        return
    stdout.print(f"{free / 1e9:.1f} GB of memory are free, {free_disk() / 1e9:.1f} GB of disk")
    for row in sorted(rows, key=lambda each: not each["fits"]):
        fits = "fits" if row["fits"] else "[dim]too large[/dim]"
        here = ", installed" if row["installed"] else ""
        stdout.print(
            f"[bold]{row['name']}[/bold]: {row['parameters'] / 1e9:.1f} billion parameters, "
            f"{row['licence']}, {row['memory'] / 1e9:.0f} GB of memory: {fits}{here}"
        )
        stdout.print(f"  [dim]{row['gives']}[/dim]")
        stdout.print(f"  [dim]measured: {row['measured']}[/dim]")
    stdout.print(
        "[dim]Memory on this machine, or on the server's. PATLM_MODEL=NAME uses one.[/dim]"
    )


def _show(as_json: bool) -> None:
    from ..models.installed import listed

    with errors_as_lines():
        models = listed()
    if as_json:
        emit_json({"models": [asdict(model) for model in models]})
        return
    said = {
        "yes": "installed",
        "package": "in an installed package",
        "damaged": "[red]damaged: install it again[/red]",
        "no": "not installed",
    }
    for model in models:
        stdout.print(
            f"[bold]{model.name}[/bold] ({model.title}, {model.licence}): {said[model.installed]}"
        )
        size = (
            f"{model.bytes / 1e6:,.0f} MB, {model.path}"
            if model.path
            else (f"download {model.download / 1e6:,.0f} MB, installed {model.disk / 1e6:,.0f} MB")
        )
        needs = f", {model.memory / 1e9:.1f} GB of memory" if model.kind == "chat" else ""
        stdout.print(f"  [dim]{model.about}; {size}{needs}[/dim]")
