"""`patlm ingest`: add a file of texts to a store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ...models.sanitise import visible
from ...stores.datasets.formats import FORMATS
from ...stores.datasets.readers.columns import FIELDS
from ...stores.datasets.validation import say_left_out
from ..options import (
    JsonOption,
    NamespaceOption,
    NeededStoreOption,
    RatingScaleOption,
    scale_of,
)

if TYPE_CHECKING:
    from ...stores.datasets.formats import RowFile
    from ...stores.datasets.ingest import Ingested
    from ...stores.datasets.preview import Preview
    from ...stores.datasets.validation import Row

FileArgument = Annotated[
    Path,
    typer.Argument(
        help="File to read, a folder of a data set, or hf:owner/name.",
        metavar="FILE",
        show_default=False,
    ),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="<field=column>",
        help="Columns by field, as user=author,text=post; may be repeated. Fields: "
        f"{', '.join(FIELDS)}.",
    ),
]
EncodingOption = Annotated[
    str | None, typer.Option(help="Encoding of the file. Default: it is detected.")
]

_SHOWN_CHARACTERS = 200  # of a text in the preview


ShareOption = Annotated[
    bool, typer.Option(help="Whether the texts may be evidence for other users.")
]

StrictOption = Annotated[bool, typer.Option("--strict", help="Exit with 1 if a row is rejected.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("ingest")(ingest)


def ingest(
    file: FileArgument,
    store: NeededStoreOption,
    format: Annotated[
        str, typer.Option(help=f"Format of the file: auto, {', '.join(FORMATS)}.")
    ] = "auto",
    columns: MapOption = None,
    encoding: EncodingOption = None,
    rating_scale: RatingScaleOption = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be stored; write nothing.")
    ] = False,
    namespace: NamespaceOption = "default",
    language: Annotated[
        str | None,
        typer.Option(help="Language of texts without one. Default: en, pt for PGraphRAG's b2w."),
    ] = None,
    share: ShareOption = True,
    rejects: Annotated[
        Path | None, typer.Option(help="File that lists rejected rows. Default: beside the store.")
    ] = None,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Add the texts of FILE to a store. Safe to repeat or to resume after a stop.

    Exits with 1 if FILE has no text, or if its ratings are on another scale than the store's; so
    does a dry run.
    """
    from ...stores.datasets.formats import read_texts
    from ...stores.datasets.ingest import check_scale, check_scale_of
    from ...stores.datasets.readers.columns import parse_map
    from ..output import errors_as_lines, fail, run

    if rejects is not None and rejects.resolve() == file.resolve():
        fail(f"--rejects names the input file ({file}): choose another", code=2)
    began = time.perf_counter()
    with errors_as_lines():
        rows = read_texts(
            file,
            format=format,
            namespace=namespace,
            language=language,
            columns=parse_map(columns or []),
            encoding=encoding,
            scale=scale_of(rating_scale),
        )
        if dry_run:
            found = _show_preview(rows, strict=strict, json=json)
            check_scale(rows)
            run(lambda: check_scale_of(rows, store))
            if found.stores_nothing or (strict and found.rejects):
                raise typer.Exit(1)
            return
        checked = check_scale(rows)
    done = run(lambda: _fill(store, rows, checked, rejects, share=share))
    _report(done, rows, time.perf_counter() - began, json=json)
    if (strict and done.rejected) or not done.added + done.duplicates:
        raise typer.Exit(1)


def _report(done: Ingested, rows: RowFile, seconds: float, *, json: bool) -> None:
    """Print what an ingest did."""
    from ..output import emit_json, stdout, warn

    if json:
        emit_json(_outcome(done, rows, seconds))
    else:
        stdout.print(escape(_sentence(done, rows)))
        for note in (*_left_out(done, rows), *rows.notes):
            stdout.print(escape(f"  {note}"))
    if done.first_reject is not None:
        first = done.first_reject
        where = f"line {first.line}" + (f" ({first.place})" if first.place else "")
        warn(
            f"{done.rejected:,} of {done.rows:,} rows rejected, the first in {where}: "
            f"{first.reason}; all are listed in {done.rejects_file}"
        )


async def _fill(
    uri: str, rows: RowFile, checked: Iterable[Row], rejects: Path | None, *, share: bool
) -> Ingested:
    from ...graph.encoders import SAMPLE_TEXTS
    from ...graph.forget import places_of, take_back
    from ...graph.open import open_store
    from ...graph.settings import Settings
    from ...stores.copies.ledger import note_copy
    from ...stores.datasets.ingest import ingest as fill
    from ...stores.datasets.ingest import place_rejects_file, use_scale_of
    from ...stores.datasets.splits import find_splits_file
    from ...stores.types import Text

    rejects_file = rejects or place_rejects_file(uri, rows.path)
    for kind, path in (("source", rows.path), ("rejects", rejects_file)):
        await asyncio.to_thread(note_copy, kind, path, of=uri)
    with _bar(rows) as progress:
        settings = Settings()
        source = (
            row if share or not isinstance(row, Text) else replace(row, shared=False)
            for row in checked
        )
        first = await asyncio.to_thread(lambda: list(islice(source, SAMPLE_TEXTS)))
        opened = open_store(
            uri,
            encoder=settings.encoder,
            style_encoder=settings.style_encoder,
            first=[row.body for row in first if isinstance(row, Text)],
        )
        async with opened as store:
            await use_scale_of(rows, store)
            done = await fill(
                store,
                chain(first, source),
                rejects_file=rejects_file,
                splits_file=find_splits_file(uri),
                progress=progress,
            )
            places = replace(places_of(settings), uri=uri)
            await take_back(store, done.private, places)
            return done


@contextmanager
def _bar(rows: RowFile) -> Iterator[Callable[[int], None]]:
    """Show the position in the file on stderr if it is a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ..output import stderr

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, disable=not stderr.redraws) as bar:
        size = rows.size or None  # a data set of the hub has none
        task = bar.add_task(visible(rows.path.name), total=size, rows=0)

        def show(read: int) -> None:
            # The number of rows is unknown beforehand; the position in the file is known.
            bar.update(task, completed=rows.position, total=size, rows=read)

        yield show


def _outcome(done: Ingested, rows: RowFile, seconds: float) -> dict[str, Any]:
    """Return what `--json` prints: `rows` is the sum of `added`, `duplicates` and `rejected`."""
    return {
        "rows": done.rows,
        "added": done.added,
        "duplicates": done.duplicates,
        "rejected": done.rejected,
        "rejects_file": None if done.rejects_file is None else str(done.rejects_file),
        "forgotten": done.forgotten,
        "targets": done.targets,
        "shared_ids": done.shared_ids,
        "format": rows.format,
        "container": rows.container,
        "language": rows.language,
        "notes": list(rows.notes),
        "noted": dict(rows.noted),
        "rating_scale": str(rows.scale),
        "replaced": done.replaced,
        "other_ids": done.other_ids,
        "same_text": done.same_text,
        "made_private": len(done.private),
        "seconds": round(seconds, 3),
    }


def _left_out(done: Ingested, rows: RowFile) -> Iterator[str]:
    """Yield what the counts do not say: values left out, texts replaced, texts under two ids."""
    for code, count in rows.noted.items():
        yield say_left_out(code, count)
    if done.replaced:
        yield f"{done.replaced:,} texts replace older ones of the same id"
    if done.other_ids:
        yield f"{done.other_ids:,} duplicates are the same text under another id of its source"
    if done.private:
        yield (
            f"{len(done.private):,} texts that others could read are private now, and are taken "
            "out of records of others"
        )
    if done.same_text:
        yield f"{done.same_text:,} texts are the same as another one under another id"


def _sentence(done: Ingested, rows: RowFile) -> str:
    return (
        f"{done.rows:,} rows of {rows.path.name}: {done.added:,} added, "
        f"{done.duplicates:,} duplicates, {done.rejected:,} rejected "
        f"({rows.format}, language {rows.language}; {done.targets:,} targets, "
        f"{done.shared_ids:,} under shared ids)"
    )


def _show_preview(rows: RowFile, *, strict: bool, json: bool) -> Preview:
    """Print what an ingest would store, and return it."""
    from rich.table import Table

    from ...stores.datasets.preview import as_data, preview
    from ..output import date_of, emit_json, stdout

    found = preview(rows, strict=strict)
    if json:
        emit_json(
            {"dry_run": True, "format": rows.format, "container": rows.container}
            | {"notes": list(rows.notes)}
            | as_data(found)
        )
        return found
    table = Table("user", "topic", "title", "rating", "time", "text")
    for text in found.texts:
        when = "" if text.timestamp is None else date_of(text.timestamp)
        rating = "" if text.rating is None else f"{text.rating:g}"
        shown = text.body[:_SHOWN_CHARACTERS]
        table.add_row(
            *map(escape, (text.user_id, text.topic_id, text.title, rating, when)),
            escape(shown if len(shown) == len(text.body) else f"{shown}…"),
        )
    stdout.print(table)
    how_many = f"{found.rows:,} rows" if found.whole else f"the first {found.rows:,} rows"
    lines = [
        f"{how_many} of {rows.path.name} ({rows.container}, {rows.format}, language "
        f"{rows.language}): {found.rejected:,} would be rejected. Nothing is written."
    ]
    if found.columns:
        read = ", ".join(
            f"{field} <- {' or '.join(names)}" for field, names in found.columns.items()
        )
        lines.append(f"columns read: {read}")
    lines += rows.notes
    if found.first_reject is not None:
        first = found.first_reject
        lines.append(f"the first reject, in line {first.line}: {first.reason}")
    lines += [f"odd: {each}" for each in found.odd]
    for line in lines:
        stdout.print(escape(line))
    return found
