"""`patlm forget`: remove a person, with proof."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import JsonOption, NamespaceOption, NeededStoreOption, TraceOption

if TYPE_CHECKING:
    from ..stores.outcomes import Receipt


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("forget")(forget)


def forget(
    user: Annotated[str, typer.Option(help="Whom to forget.", show_default=False)],
    store: NeededStoreOption,
    namespace: NamespaceOption = "default",
    trace: TraceOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Remove USER from texts, indexes, graph and traces, down to the bytes in the files."""
    from ..graph.forgetting import forget_user
    from ..graph.opening import look_into_store
    from .output import emit_json, run, stdout

    async def main() -> Receipt:
        async with look_into_store(store) as opened:
            folder = Path(trace) if trace else None
            return await forget_user(
                opened, namespace, user, uri=store, trace=folder, dry_run=dry_run
            )

    receipt = run(main)
    if json:
        emit_json(receipt.as_dict())
        return
    verb = "would be removed" if dry_run else "removed"
    counts = ", ".join(f"{count:,} {kind}" for kind, count in receipt.removed.items())
    stdout.print(f"{user}: {counts} {verb} in {receipt.seconds:.2f} s")
    if receipt.bytes_found_after is not None:
        stdout.print(
            f"proof: {receipt.bytes_found_before:,} of {receipt.pieces:,} pieces of the texts "
            f"stood in the store's files before, {receipt.bytes_found_after:,} do now"
        )
    elif not dry_run:
        stdout.print("no proof: the store's files can't be read from here (object store)")
