"""`patlm compare`: the same requests without any context and in each mode, side by side."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.rule import Rule

from ..options import (
    BaseUrlOption,
    BudgetOption,
    JsonOption,
    ModelOption,
    RatingScaleOption,
    check_split,
    parts_of,
    scale_of,
    settings_of,
    task_of,
    with_options,
)

if TYPE_CHECKING:
    from ...evaluation.compare import Comparison, ComparisonPlan
    from ...graph.settings import Settings


@dataclass(frozen=True)
class CompareOptions:
    """Options of `patlm compare`."""

    data: Annotated[
        Path | None,
        typer.Option("--data", help="File of texts. Default: the sample corpus."),
    ] = None
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Number of requests: the first ones.")
    ] = 6
    modes: Annotated[
        str,
        typer.Option(
            "--modes",
            help="none, quoted, summaries, own_quoted, or arms of the benchmark; comma-separated.",
        ),
    ] = "none,quoted,summaries,own_quoted"
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="long, short, rating or free.",
            show_default="long; free for LaMP and LongLaMP",
        ),
    ] = None
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            help="Split of the requests: train, gate, report or all.",
            callback=check_split,
            show_default="report; all of the sample corpus",
        ),
    ] = None
    iterations: Annotated[
        int, typer.Option("--iterations", min=1, max=10, help="Maximum number of iterations.")
    ] = 1
    sequential: Annotated[
        bool,
        typer.Option("--sequential", help="Make one draft after the other: seconds of a lone one."),
    ] = False
    rating_scale: RatingScaleOption = "auto"
    model: ModelOption = None
    base_url: BaseUrlOption = None
    budget: BudgetOption = None
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write the page to this file.", show_default=False),
    ] = None
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", help="Write it as Markdown to this file.", show_default=False),
    ] = None
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", help="Folder that keeps the store of the file.", show_default="none is kept"
        ),
    ] = None
    json: JsonOption = False


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("compare")(with_options(compare, CompareOptions))


def compare(options: CompareOptions) -> None:
    """Write for the same requests in several ways, and show the drafts side by side.

    The page has the texts of the data in it; `patlm forget` removes it with who is in it.
    """
    from ...evaluation.compare import ComparisonPlan, arms_of, read_requests
    from ...stores.copies.ledger import note_copy
    from ...stores.files import new_file
    from ..output import echo, emit_json, errors_as_lines

    plan = ComparisonPlan(
        data=options.data,
        modes=parts_of(options.modes, "--modes"),
        task=task_of(options.task),
        split=options.split,
        limit=options.limit,
        iterations=options.iterations,
        sequential=options.sequential,
        rating_scale=scale_of(options.rating_scale),
    )
    with errors_as_lines():
        arms_of(plan)
        read_requests(plan)  # before the model is loaded, which takes seconds
        settings = settings_of(
            model=options.model, base_url=options.base_url, budget=options.budget
        )
        found = _compare(plan, settings, options)
        for file, made in ((options.html, found.page), (options.markdown, found.markdown)):
            if file is not None:
                note_copy("page", file, of=options.data)
                new_file(file).write_text(made(), encoding="utf-8", errors="replace")
    if options.json:
        emit_json(found.as_dict())
    elif options.html is None and options.markdown is None:
        _show(found)
    else:
        for file in filter(None, (options.html, options.markdown)):
            echo(f"{file}: {len(found.requests)} requests")


def _compare(plan: ComparisonPlan, settings: Settings, options: CompareOptions) -> Comparison:
    from ...evaluation import compare as comparing
    from ...graph.open import open_chat
    from ...stores.copies.ledger import note_copy
    from ..model_choice import ready
    from ..output import progress

    model = ready(settings.model, settings.dtype)
    settings = settings.model_copy(update={"model": model})
    if options.cache is not None:
        note_copy("stores", options.cache, of=options.data)
    with progress() as watch, open_chat(settings) as chat:
        return asyncio.run(comparing.compare(plan, chat, settings, watch, cache=options.cache))


def _show(found: Comparison) -> None:
    from ..output import echo, stdout

    for each in found.requests:
        stdout.print(Rule(escape(f"{each.user_id} on {each.topic_id or 'no topic'}")))
        for name, words in (*each.given.items(), ("real text", each.real)):
            stdout.print(f"[bold]{name}[/bold]:")
            echo(f"{words}\n")
        for draft in each.drafts:
            stdout.print(f"[bold]{escape(draft.mode)}[/bold]:")
            echo(f"{draft.text if draft.failed is None else f'failed: {draft.failed}'}\n")
