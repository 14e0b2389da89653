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

UserOption = Annotated[str, typer.Option("--user", help="Whom to write for.", show_default=False)]
TaskOption = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="long, short, rating or free. Default: long with --title, short with --text, "
        "free with --instruction.",
        show_default=False,
    ),
]
TopicOption = Annotated[
    str | None, typer.Option("--topic", help="What it is about, as the store names it.")
]
TitleOption = Annotated[str | None, typer.Option("--title", help="The title to write under.")]
TextOption = Annotated[
    str | None, typer.Option("--text", help="The text to find a title or rating for.")
]
InstructionOption = Annotated[str | None, typer.Option("--instruction", help="What to write.")]
KOption = Annotated[int, typer.Option("--k", "-k", help="Texts of evidence a trajectory.")]
