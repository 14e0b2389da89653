"""`patlm train`: train one role's adapter. The flags are the fields of `TrainConfig`."""

from __future__ import annotations

import inspect
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from ...training.trainer.config import FIELDS, TrainConfig, read_config
from ..options import JsonOption, with_parameters

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file with these settings; flags win.", show_default=False),
]

_FROM_ENVIRONMENT = {"adapters": "PATLM_ADAPTERS", "model": "PATLM_MODEL", "store": "PATLM_STORE"}
"""Settings that other commands read from the same variables."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("train")(_with_flags(train))


def train(config: Path | None, json: bool, **flags: Any) -> None:
    """Train one role's adapter on episodes with TRL and add it to the registry, not promoted.

    Also runs under `torchrun` and `accelerate launch`; the first process prints.
    """
    from ...training.trainer.config import described
    from ...training.trainer.train import settle_here
    from ...training.trainer.train import train as run_training
    from ..model_choice import ready
    from ..output import emit_json, errors_as_lines, progress, stderr

    first = os.environ.get("RANK", "0") == "0"
    with errors_as_lines():
        asked = read_config(config, flags)
        asked = replace(asked, model=ready(asked.model, asked.dtype))
        chosen, device = settle_here(asked)
        if first:
            stderr.print(described(chosen, device))
        with progress() as watch:
            report = run_training(asked, watch=watch if first else None)
    if first and json:
        emit_json(asdict(report))
    elif first:
        _show(asdict(report))
    if report.adapter is None:
        raise typer.Exit(1)


def _show(report: dict[str, Any]) -> None:
    from ..output import stdout

    where = report["adapter"] or "nothing"
    stdout.print(
        f"{where}: {report['method']} of {report['role']}, {report['steps']} steps on "
        f"{report['samples']} samples in {report['seconds']} s"
    )
    if report["loss_first"] is not None:
        stdout.print(f"loss {report['loss_first']:.4f} at first, {report['loss_last']:.4f} at last")
    for reason, number in report["skipped_by"].items():
        stdout.print(f"left out: {number} {reason}")
    if report["stopped"]:
        stdout.print(f"stopped: {report['stopped']}")


def _with_flags(command: Any) -> Any:
    """Return a command whose options are the fields of `TrainConfig`, none of them needed.

    A flag that was not given is None, so that the YAML file's value, or the default, stays.
    """
    own = [
        inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, annotation=ConfigOption),
        inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, annotation=JsonOption),
    ]
    defaults = {"config": None, "json": False}
    parameters = [each.replace(default=defaults[each.name]) for each in own]
    types = get_type_hints(TrainConfig)
    for name, field in FIELDS.items():
        option = typer.Option(
            help=field.description,
            envvar=_FROM_ENVIRONMENT.get(name),
            show_default=False if field.default is None else str(field.default),
        )
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[_flag_type(types[name]) | None, option],
            )
        )

    return with_parameters(command, command.__doc__, parameters)


def _flag_type(annotation: Any) -> Any:
    """Return the type of a flag: of a choice str, of a value or None the value's."""
    members = [each for each in get_args(annotation) if each is not type(None)]
    if not members:
        return annotation
    return str if isinstance(members[0], str) else members[0]
