"""`patlm ingest`: put a file of texts into a store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..stores.ingest import Ingested
    from ..stores.readers import RowFile


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("ingest")(ingest)


def ingest(
    file: Annotated[Path, typer.Argument(help="The file to read.", show_default=False)],
    store: Annotated[
        str,
        typer.Option(envvar="PATLM_STORE", help="Folder or object-store URI.", show_default=False),
    ],
    format: Annotated[
        str, typer.Option(help="auto, jsonl, csv, pgraphrag, amazon, lamp or longlamp.")
    ] = "auto",
    namespace: Annotated[str, typer.Option(help="Tenant that the texts belong to.")] = "default",
    language: Annotated[
        str | None,
        typer.Option(help="Language of texts that name none. Default: en, pt for PGraphRAG's b2w."),
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejected rows are listed. Default: beside the store.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if a row is rejected.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Put the texts of FILE into a store. Safe to repeat, and to run again after a stop."""
    from ..models.errors import ModelError
    from ..stores.errors import StoreError
    from ..stores.file_rows import FormatError
    from ..stores.ingest import place_rejects_file
    from ..stores.readers import read_texts
    from ..stores.split_files import SplitsError
    from .output import emit_json, fail

    began = time.perf_counter()
    try:
        rows = read_texts(file, format=format, namespace=namespace, language=language)
        listed = _check_rejects_file(rejects or place_rejects_file(store, file), file)
        done = asyncio.run(_fill(store, rows, listed))
    except (FormatError, StoreError, SplitsError, ModelError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot ingest {file} into {store}: {error}")
    if json:
        emit_json(outcome(done, rows, time.perf_counter() - began))
    else:
        typer.echo(_sentence(done, rows))
    if done.first_reject is not None:
        first = done.first_reject
        typer.echo(
            f"warning: {done.rejected:,} of {done.rows:,} rows rejected, the first in line "
            f"{first.line}: {first.reason}; all are listed in {done.rejects_file}",
            err=True,
        )
        if strict:
            raise typer.Exit(1)


def outcome(done: Ingested, rows: RowFile, seconds: float) -> dict[str, Any]:
    """Return what `--json` prints: `rows` is `added`, `duplicates` and `rejected` added up."""
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
        "language": rows.language,
        "seconds": round(seconds, 3),
    }


async def _fill(uri: str, rows: RowFile, rejects_file: Path) -> Ingested:
    from ..graph.opening import open_store
    from ..graph.settings import Settings
    from ..stores.ingest import ingest as fill
    from ..stores.split_files import find_splits_file

    with _bar(rows) as progress:
        async with open_store(uri, encoder=Settings().encoder) as store:
            return await fill(
                store,
                rows,
                rejects_file=rejects_file,
                splits_file=find_splits_file(uri),
                progress=progress,
            )


@contextmanager
def _bar(rows: RowFile) -> Iterator[Callable[[Ingested], None]]:
    """Show how far into the file the ingest is, on stderr, where somebody looks at it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(rows.path.name, total=rows.size, rows=0)

        def show(done: Ingested) -> None:
            bar.update(task, completed=rows.position, total=rows.size, rows=done.rows)

        yield show


def _check_rejects_file(path: Path, source: Path) -> Path:
    """Return the path, unless writing it would overwrite what is read."""
    from ..stores.file_rows import FormatError

    if path.resolve() == source.resolve():
        raise FormatError(f"--rejects names the file that is read ({path}): name another")
    return path


def _sentence(done: Ingested, rows: RowFile) -> str:
    return (
        f"{done.rows:,} rows of {rows.path.name}: {done.added:,} added, "
        f"{done.duplicates:,} duplicates, {done.rejected:,} rejected "
        f"({rows.format}, language {rows.language}; {done.targets:,} targets, "
        f"{done.shared_ids:,} under shared ids)"
    )
