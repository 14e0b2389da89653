"""`patlm rounds`: warm-up and rounds of training, each stage measured on held-out people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...training.methods import METHODS
from ..options import (
    DtypeOption,
    JsonOption,
    ModelOption,
    RatingScaleOption,
    SeedOption,
    histories_of,
    one_of,
    parts_of,
    scale_of,
    settings_of,
    task_of,
    with_options,
)

if TYPE_CHECKING:
    from ...evaluation.scores.metrics import Metric

_METHODS = [each.name for each in METHODS.values() if each.learns_from == "rewards"]
_STAGES = "untrained,warm_up,style,preference,final"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("rounds")(with_options(rounds, RoundsOptions))


@dataclass(frozen=True)
class RoundsOptions:
    """Options of `patlm rounds`."""

    data: Annotated[Path, typer.Option("--data", help="File of texts with targets.")]
    out: Annotated[
        Path,
        typer.Option("--out", help="Folder for figures, adapters and curves; contains no texts."),
    ]
    task: Annotated[str, typer.Option("--task", help="long, short, rating or free.")] = "long"
    stages: Annotated[
        str,
        typer.Option(
            "--stages",
            help="Some of untrained, warm_up, style, preference, final; comma-separated. style and "
            "preference may be repeated or numbered: style_2.",
        ),
    ] = _STAGES
    history: Annotated[
        str,
        typer.Option(
            "--history", help="Own texts to use when measuring: all or numbers, comma-separated."
        ),
    ] = "all"
    warm_up_targets: Annotated[
        int,
        typer.Option("--warm-up-targets", min=1, help="Targets of train for integrate's warm-up."),
    ] = 800
    reasoner_examples: Annotated[
        int,
        typer.Option("--reasoner-examples", min=1, help="Summaries for each reasoner's warm-up."),
    ] = 400
    targets: Annotated[
        int, typer.Option("--targets", min=1, help="Targets of train to draw summaries for.")
    ] = 160
    candidates: Annotated[
        int, typer.Option("--candidates", min=2, help="Summaries drawn per target and side.")
    ] = 4
    gate_targets: Annotated[
        int,
        typer.Option("--gate-targets", min=2, help="Targets of gate, which decides on promotion."),
    ] = 240
    report_targets: Annotated[
        int, typer.Option("--report-targets", min=2, help="Targets of report, which is reported.")
    ] = 240
    method: Annotated[
        str,
        typer.Option("--method", help=f"Training method of reasoners: {' or '.join(_METHODS)}."),
    ] = "dpo"
    rating_scale: RatingScaleOption = "auto"
    seed: SeedOption = 0
    model: ModelOption = None
    dtype: DtypeOption = "auto"
    work: Annotated[
        Path | None,
        typer.Option(
            "--work",
            help="Folder for stores, episodes and checkpoints, which contain texts.",
            show_default="the user's cache",
        ),
    ] = None
    ray: Annotated[
        int,
        typer.Option("--ray", min=0, help="Number of Ray workers for collecting; 0: without Ray."),
    ] = 0
    json: JsonOption = False


def rounds(options: RoundsOptions) -> None:
    """Train all roles in rounds; refused stages are reported but not promoted."""
    from ...models.installed import cache_folder
    from ...training.rounds.plan import RoundsPlan
    from ...training.rounds.stages import run_whole_rounds
    from ..output import emit_json, errors_as_lines, progress

    with errors_as_lines():
        plan = RoundsPlan(
            data=options.data,
            task=task_of(options.task),
            stages=parts_of(options.stages),
            history=histories_of(options.history),
            warm_up_targets=options.warm_up_targets,
            reasoner_examples=options.reasoner_examples,
            targets=options.targets,
            candidates=options.candidates,
            gate_targets=options.gate_targets,
            report_targets=options.report_targets,
            method=one_of("--method", options.method, _METHODS),
            seed=options.seed,
            rating_scale=scale_of(options.rating_scale),
        )
        settings = settings_of(model=options.model, dtype=options.dtype)
        with progress() as watch:
            results = run_whole_rounds(
                plan,
                settings,
                options.out,
                options.work or cache_folder() / "rounds",
                watch,
                workers=options.ray,
            )
    if options.json:
        emit_json(results)
    else:
        _show(results)


def _show(results: Mapping[str, Any]) -> None:
    from rich.table import Table

    from ...evaluation.scores.metrics import metrics_of
    from ..output import stdout

    metrics = metrics_of(results["task"], "main", "headline", "short")
    title = f"{results['data']}, {results['task']}"
    for history in dict.fromkeys(row["history"] for row in results.get("stages", [])):
        table = Table(title=f"{title}, history {history}, on report", title_justify="left")
        labels = [metric.label for metric in metrics]
        for name in ("stage", labels[0], "95%", *labels[1:], "n"):
            table.add_column(name, justify="left" if name == "stage" else "right")
        for row in results["stages"]:
            if row["history"] == history:
                table.add_row(*_stage(row, metrics))
        stdout.print(table)
    _show_comparisons(results.get("comparisons", []))
    _show_rounds(results)


def _stage(row: Mapping[str, Any], metrics: Sequence[Metric]) -> list[str]:
    from ...evaluation.report.html import figure

    def shown(metric: Metric) -> str:
        value = row.get(metric.name)
        return figure(value["mean"] if isinstance(value, dict) else value, metric)

    main, *others = metrics
    interval = _pair(row[main.name]["ci95"])
    return [row["stage"], shown(main), interval, *map(shown, others), str(row["n"])]


def _show_comparisons(comparisons: list[Mapping[str, Any]]) -> None:
    from rich.table import Table

    from ..output import stdout

    if not comparisons:
        return
    table = Table(title="Differences, on report", title_justify="left")
    for name in ("what", "history", "mean", "95%", "Holm", "by topic", "n"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for row in comparisons:
        ends = (_pair(row[name], "+") for name in ("ci95", "holm", "ci95_by_topic"))
        table.add_row(row["what"], row["history"], f"{row['mean']:+.3f}", *ends, str(row["n"]))
    stdout.print(table)


def _show_rounds(results: Mapping[str, Any]) -> None:
    from ..output import stdout

    for each in results["rounds"]:
        told = "promoted" if each["promoted"] else "refused"
        stdout.print(
            f"{each['stage']}: {told}; {each['gain']:+.4f} {_pair(each['ci95'], '+')} over "
            f"{each['against']} on {each['n']} targets of gate"
        )
    if results["left_out"]:
        stdout.print(
            f"skipped, because earlier rounds were refused: {', '.join(results['left_out'])}"
        )
    used = ", ".join(results["promoted"].values()) or "none: the base model stays"
    stdout.print(f"promoted: {used}")


def _pair(ends: list[float] | None, sign: str = "") -> str:
    return "" if ends is None else f"[{ends[0]:{sign}.3f}, {ends[1]:{sign}.3f}]"
