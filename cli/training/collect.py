"""`patlm collect`: episodes with candidates, replays and rewards, to train on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import (
    BaseUrlOption,
    CleanOption,
    JsonOption,
    ModelOption,
    NamedAdaptersOption,
    RatingScaleOption,
    SeedOption,
    check_dtype,
    check_split,
    history_of,
    one_of,
    parts_of,
    scale_of,
    settings_of,
    task_of,
    with_options,
)

if TYPE_CHECKING:
    from ...training.collect.plan import CollectPlan, CollectReport
    from ...training.collect.source import CollectRequest


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("collect")(with_options(collect, CollectOptions))


@dataclass(frozen=True)
class CollectOptions:
    """Options of `patlm collect`."""

    data: Annotated[Path, typer.Option("--data", help="File of texts with targets.")]
    out: Annotated[Path, typer.Option("--out", help="Folder for the episodes.")]
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="long, short, rating or free.",
            show_default="long; free for LaMP and LongLaMP",
        ),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Maximum number of targets.", show_default="all"),
    ] = None
    candidates: Annotated[
        int | None,
        typer.Option(
            "--candidates",
            min=0,
            help="Summaries drawn per target and reasoner.",
            show_default="4; 0 with --reasoner extractive",
        ),
    ] = None
    temperature: Annotated[float, typer.Option("--temperature", help="Sampling temperature.")] = 0.8
    sides: Annotated[
        str, typer.Option("--sides", help="Sides to draw for: style, preference; comma-separated.")
    ] = "style,preference"
    reasoner: Annotated[
        str,
        typer.Option(
            "--reasoner",
            help="model, or extractive: model-free summaries, without any call.",
        ),
    ] = "model"
    history: Annotated[
        str, typer.Option("--history", help="Own texts to use: all, or a number.")
    ] = "all"
    split: Annotated[
        str,
        typer.Option(
            "--split",
            help="Split of the targets; only train may be learned from.",
            callback=check_split,
        ),
    ] = "train"
    clean: CleanOption = ""
    rating_scale: RatingScaleOption = "auto"
    seed: SeedOption = 0
    adapters: NamedAdaptersOption = "promoted"
    model: ModelOption = None
    base_url: BaseUrlOption = None
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype",
            envvar="PATLM_DTYPE",
            help="Number format of a local model: auto, fp32 or bf16.",
            callback=check_dtype,
            show_default="auto",
        ),
    ] = None
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            help="Folder for the store of the file's train texts.",
            show_default="the user's cache",
        ),
    ] = None
    ray: Annotated[
        int,
        typer.Option("--ray", min=0, help="Number of Ray workers; 0: without Ray."),
    ] = 0
    json: JsonOption = False


def collect(options: CollectOptions) -> None:
    """Draw summaries for targets with a known real text, and compute their rewards."""
    from ..output import emit_json, errors_as_lines

    with errors_as_lines():
        plan = _plan(options)
        request = _request(
            data=options.data,
            stores=options.store,
            task=task_of(options.task),
            limit=options.limit,
            split=options.split,
            history=history_of(options.history),
            cleaning=parts_of(options.clean),
            rating_scale=scale_of(options.rating_scale),
            adapters=options.adapters,
            settings=settings_of(
                model=options.model, base_url=options.base_url, dtype=options.dtype
            ),
        )
        report = _run(request, plan, options.out, options.ray)
    if options.json:
        emit_json(asdict(report))
    else:
        _show(report, options.out)


def _plan(options: CollectOptions) -> CollectPlan:
    from ...training.collect.plan import CollectPlan

    kind: Any = one_of("--reasoner", options.reasoner, ("model", "extractive"))
    usual = CollectPlan.candidates if kind == "model" else 0
    return CollectPlan(
        candidates=usual if options.candidates is None else options.candidates,
        temperature=options.temperature,
        sides=tuple(parts_of(options.sides)),
        reasoner=kind,
        seed=options.seed,
    )


def _request(*, stores: Path | None, **given: Any) -> CollectRequest:
    from ...models.installed import cache_folder
    from ...training.collect.source import CollectRequest

    return CollectRequest(stores=stores or cache_folder() / "bench" / "stores", **given)


def _run(request: CollectRequest, plan: CollectPlan, out: Path, workers: int) -> CollectReport:
    from ...training.collect.run import run_collect
    from ..output import progress

    with progress() as watch:
        return run_collect(request, plan, out, watch, workers=workers)


def _show(report: CollectReport, out: Path) -> None:
    from ..output import stdout, warn

    stdout.print(
        f"{report.episodes} episodes of {report.targets} targets "
        f"({report.resumed} existed before), {report.samples} samples, "
        f"{report.failed} failed, {report.seconds:.0f} s"
    )
    if report.batch_fill is not None:
        stdout.print(f"the model's batches were {report.batch_fill:.0%} full")
    for iteration, means in report.by_iteration.items():
        stdout.print(
            f"iteration {iteration}: {means['groups']:.0f} groups, mean reward "
            f"{means['reward']:.3f}, mean differential {means['differential']:+.3f}"
        )
    stdout.print(f"{', '.join(report.shards)} in {out}", markup=False)
    if report.damaged:
        warn(
            f"{report.damaged:,} lines in {out} are no records and were left out, the first: "
            f"{report.first_damaged}"
        )
    if report.why is not None:
        warn(f"some runs failed and are stored as failed; the first: {report.why}")
