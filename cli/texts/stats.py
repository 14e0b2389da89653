"""`patlm stats`: count what a store contains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ..options import JsonOption, StoreOption

if TYPE_CHECKING:
    from ...stores.types import StoreStats


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("stats")(stats)


def stats(store: StoreOption = None, json: JsonOption = False) -> None:
    """Count texts, users and topics of a store, and show its size and indexes."""
    from ...graph.open import look_into_store
    from ..output import emit_json, run, stdout

    async def main() -> StoreStats:
        async with look_into_store(store) as opened:
            return await opened.stats()

    found = run(main).as_dict()
    if json:
        emit_json(found)
        return
    for name, value in found.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        number = f"{shown:,}" if isinstance(shown, int) else shown
        stdout.print(f"{name.replace('_', ' '):>14}  {number}", markup=False)
