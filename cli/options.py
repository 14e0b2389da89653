"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="PATLM_STORE",
        help="Folder or object-store URI. Default: the sample corpus.",
        show_default=False,
    ),
]
NeededStoreOption = Annotated[
    str,
    typer.Option(
        "--store", envvar="PATLM_STORE", help="Folder or object-store URI.", show_default=False
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        envvar="PATLM_MODEL",
        help="bundled, a path, a hub id, provider:model or python:package.module:factory.",
        show_default="bundled",
    ),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        envvar="PATLM_BASE_URL",
        help="Server of a provider:model, as http://host:port/v1.",
        show_default="the provider's own",
    ),
]
TraceOption = Annotated[
    str | None,
    typer.Option(
        "--trace", envvar="PATLM_TRACE", help="Folder of the records of runs.", show_default=False
    ),
]
NamespaceOption = Annotated[str, typer.Option("--namespace", help="Tenant.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
