"""`patlm audit`: who has how many texts in a store, equal texts of several people, copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .options import JsonOption, NeededStoreOption, TraceOption

if TYPE_CHECKING:
    from ..stores.copies.audit import Audit


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("audit")(audit)


def audit(
    store: NeededStoreOption,
    trace: TraceOption = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows shown of each table.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show who has how many texts in STORE, equal texts of several people, and all known copies.

    Reads all texts and changes nothing. --json lists everybody.
    """
    from ..graph.open import look_into_store
    from ..nodes.guards.personal_data import COUNTERS
    from ..stores.copies.audit import audit as look_over
    from .output import emit_json, run, stdout

    async def main() -> Audit:
        async with look_into_store(store) as opened:
            return await look_over(
                opened, store, trace=Path(trace) if trace else None, personal=COUNTERS
            )

    found = run(main)
    if json:
        emit_json(found.as_dict())
        return
    totals = found.as_dict()["totals"]
    stdout.print(
        f"{totals['texts']:,} texts of {totals['people']:,} people, {totals['shared']:,} of them "
        "may be read by others"
    )
    for title, headings, lines in _tables(found):
        stdout.print(_table(title, headings, lines, rows) if lines else f"{title}: none")


def _tables(found: Audit) -> Iterator[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
    """Yield title, headings and rows of each table."""
    kinds = found.searched
    people: list[tuple[str, ...]] = [
        (each.namespace, each.user_id, f"{each.texts:,}", f"{each.shared:,}")
        + tuple(f"{each.personal[kind]:,}" for kind in kinds)
        for each in found.people
    ]
    yield "people", ("namespace", "user", "texts", "shared", *kinds), people
    equal: list[tuple[str, ...]] = [
        (each.namespace, ", ".join(each.authors), ", ".join(each.text_ids)) for each in found.equal
    ]
    yield "equal texts of several people", ("namespace", "people", "texts"), equal
    places: list[tuple[str, ...]] = [
        (each.kind, each.path, "this store" if each.of_store else "may have its texts", each.says)
        for each in found.places
    ]
    places += [("learned", name, "this store", "kept in the store") for name in found.learned]
    yield "places that may hold texts", ("kind", "path", "of", "what `forget` does"), places
    yield "files that belong to nothing", ("path",), [(each,) for each in found.orphans]


def _table(
    title: str, headings: Sequence[str], lines: Sequence[tuple[str, ...]], most: int
) -> Table:
    shown = title if len(lines) <= most else f"{title}: the first {most:,} of {len(lines):,}"
    table = Table(title=escape(shown), title_justify="left", box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("texts", "shared") else "left")
    for line in lines[:most]:
        table.add_row(*map(escape, line))
    return table
