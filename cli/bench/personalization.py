"""`patlm bench personalization` runs arms, controls and floors; `bench report` renders results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...stores.errors import shortened
from ..options import (
    BaseUrlOption,
    CleanOption,
    DtypeOption,
    JsonOption,
    ModelOption,
    NamedAdaptersOption,
    RatingScaleOption,
    check_split,
    from_list,
    histories_of,
    parts_of,
    scale_of,
    settings_of,
    tasks_of,
    with_options,
)
from ..output import DataOption

if TYPE_CHECKING:
    from ...evaluation.benchmark import Plan
    from ...graph.settings import Settings


def _arms() -> Iterable[str]:
    from ...evaluation.arms.registry import ARMS

    return ARMS


@dataclass(frozen=True)
class PersonalizationOptions:
    """Options of `patlm bench personalization`."""

    data: DataOption
    out: Annotated[Path, typer.Option("--out", help="Folder for results and report.")]
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="long, short, rating or free; comma-separated.",
            show_default="long; free for LaMP and LongLaMP",
        ),
    ] = None
    arms: Annotated[
        str, typer.Option("--arms", help="all, main, controls, floors or names; comma-separated.")
    ] = "all"
    against: Annotated[
        str,
        typer.Option(
            "--against", help="Baseline arm of gains.", callback=from_list("--against", _arms)
        ),
    ] = "no_context"
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Maximum number of targets per file and task."),
    ] = None
    history: Annotated[
        str, typer.Option("--history", help="Own texts to use: all or numbers, comma-separated.")
    ] = "all"
    split: Annotated[
        str,
        typer.Option(
            "--split",
            help="Split of the targets: train, gate, report or all.",
            callback=check_split,
        ),
    ] = "report"
    least_own: Annotated[
        int,
        typer.Option("--least-own", min=0, help="Only people with at least this many own texts."),
    ] = 0
    inductive: Annotated[
        bool,
        typer.Option("--inductive", help="Do not use texts of measured people as evidence."),
    ] = False
    clean: CleanOption = ""
    rating_scale: RatingScaleOption = "auto"
    seeds: Annotated[str, typer.Option("--seeds", help="Random seeds, comma-separated.")] = "0"
    adapters: NamedAdaptersOption = "none"
    judge: Annotated[
        str | None,
        typer.Option("--judge", help="Chat model that judges drafts, named as for --model."),
    ] = None
    model: ModelOption = None
    base_url: BaseUrlOption = None
    dtype: DtypeOption = "fp32"
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder for stores and answers.", show_default="the user's"),
    ] = None
    json: JsonOption = False


def personalization(options: PersonalizationOptions) -> None:
    """Compare arms, controls and floors on a benchmark, and decide which claims hold."""
    from ...evaluation.arms.registry import arms_named
    from ...evaluation.benchmark import Plan
    from ..output import emit_json, errors_as_lines

    with errors_as_lines():
        plan = Plan(
            data=options.data,
            arms=arms_named(parts_of(options.arms)),
            tasks=tasks_of(options.task),
            against=options.against,
            history=histories_of(options.history),
            split=_split(options.split),
            least_own=options.least_own,
            inductive=options.inductive,
            cleaning=parts_of(options.clean),
            rating_scale=scale_of(options.rating_scale),
            limit=options.limit,
            seeds=_numbers("--seeds", options.seeds),
        )
        settings = settings_of(model=options.model, base_url=options.base_url, dtype=options.dtype)
        results = _run(plan, settings, options)
    if options.json:
        emit_json(results)
    else:
        _show(results, options.out)


def _run(plan: Plan, settings: Settings, options: PersonalizationOptions) -> dict[str, Any]:
    from ...evaluation.run import run_personalization
    from ...models.installed import cache_folder
    from ..output import progress

    with progress() as watch:
        return run_personalization(
            plan,
            settings,
            adapters=options.adapters,
            judge=options.judge,
            out=options.out,
            cache=options.cache or cache_folder() / "bench",
            watch=watch,
        )


def _numbers(option: str, said: str) -> list[int]:
    parts = parts_of(said)
    if not parts or not all(part.isdecimal() for part in parts):
        raise typer.BadParameter(f"{option} takes numbers with commas, got {shortened(said)}")
    return [int(part) for part in parts]


def _split(said: str) -> Any:
    """Return a split as plans name it: `all` is none of them."""
    return None if said == "all" else said


def _show(results: Mapping[str, Any], out: Path) -> None:
    from rich.table import Table

    from ...evaluation.scores.metrics import main_metric
    from ..output import stdout

    for place in dict.fromkeys(
        (row["data"], row["task"], row["history"]) for row in results["arms"] + results["floors"]
    ):
        rows = [
            row
            for row in results["arms"] + results["floors"]
            if (row["data"], row["task"], row["history"]) == place
        ]
        data, task, history = place
        metric = main_metric(task)
        title = f"{data}, {task}, history {history}, {max(row['n'] for row in rows)} targets"
        table = Table(title=title, title_justify="left")
        over = f"over {results['settings']['against']}"
        for name in ("arm", metric.label, "95%", over, "Holm", "n"):
            table.add_column(name, justify="left" if name == "arm" else "right")
        for row in rows:
            table.add_row(row["arm"], *_figures(row, metric.name), str(row["n"]))
        stdout.print(table)
        for verdict in results["verdicts"]:
            if (verdict["data"], verdict["task"], verdict["history"]) == place:
                stdout.print(f"{verdict['side']:>12}: {verdict['verdict']}")
    stdout.print(f"\n{out / 'report.html'}", markup=False)


def _figures(row: Mapping[str, Any], metric: str) -> list[str]:
    def pair(ends: Any) -> str:
        return "" if ends is None else f"[{ends[0]:+.3f}, {ends[1]:+.3f}]"

    value, gain = row["metrics"].get(metric), row["gain"]
    mean = ["", ""] if value is None else [f"{value['mean']:.3f}", pair(value["ci95"])]
    return [*mean, *(["", ""] if gain is None else [f"{gain['mean']:+.3f}", pair(gain["holm"])])]


def report(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder written by `bench personalization --out`.", show_default=False),
    ],
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="Print the tables as Markdown; also works on a results file."
        ),
    ] = False,
    plots: Annotated[
        Path | None,
        typer.Option(
            "--plots", help="Write the plots as SVG files to this folder.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Render report.html from results.json and examples.json."""
    from ...evaluation.report.markdown import results_tables
    from ...evaluation.report.page import write_plots, write_report
    from ...evaluation.report.records import read_results
    from ..output import echo, emit_json, errors_as_lines, stdout

    if markdown or plots is not None:
        with errors_as_lines():
            results = read_results(folder)
            written = [] if plots is None else write_plots(results, plots)
        for path in written:
            echo(str(path), err=markdown)
        if markdown:
            echo(results_tables(results))
        return
    with errors_as_lines():
        page = write_report(folder)
    if json:
        emit_json({"report": str(page)})
    else:
        stdout.print(str(page), markup=False)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("personalization")(with_options(personalization, PersonalizationOptions))
    app.command("report")(report)
