"""`patlm bench campaign`, `encoder`, `evidence`, `graph` and `soak`: what holds, and how well."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import JsonOption, finite
from ..output import DataOption, PlotOption, emit_json, errors_as_lines, say, stdout

if TYPE_CHECKING:
    from ...stores.types import Encoder

Row = Mapping[str, Any]


def encoder(data: DataOption, plot: PlotOption = None, json: JsonOption = False) -> None:
    """Compare the style encoder with rivals on authorship, with the topic held fixed."""
    from ...bench.encoder import measure_encoder

    found = _measure(
        lambda topic: measure_encoder(data, topic, jobs=os.cpu_count() or 1, say=say),
        lambda found: found["rows"],
        plot,
        series="encoder",
        value="accuracy",
        axis="triplets right, mean over authors (95% interval by author)",
        chance=0.5,
    )
    if json:
        emit_json(found)
        return
    for row in found["rows"]:
        accuracy = f"{row['accuracy']:.3f} {_interval(row['ci95'])}"
        stdout.print(
            f"{row['data']:>22}  {row['encoder']:>16}  {accuracy}  {row['authors']} authors"
        )
    for pair in found["paired"]:
        stdout.print(f"{pair['data']:>22}  patlm - {pair['against']:>16}  {_gain(pair)}")
    for pair in found["neighbours"]["paired"]:
        known = f"{pair['history']} own texts, {pair['people']} people"
        strategies = f"{pair['strategy']} - {pair['against']}"
        stdout.print(f"{pair['data']:>22}  {strategies}  {_gain(pair)}  {known}")
    for each in found["speed"]:
        stdout.print(
            f"{each['data']:>22}  {each['patlm_per_s']:.0f} texts/s, {each['ratio']:.1f} x minilm's"
        )


def evidence(data: DataOption, plot: PlotOption = None, json: JsonOption = False) -> None:
    """Measure the selected evidence, and choose its weights and threshold."""
    from ...bench.evidence.run import measure_evidence

    found = _measure(
        lambda topic: measure_evidence(data, topic, say=say),
        lambda found: [
            {**row, "data": f"{row['data']} {row['history']}"}
            for row in _of_report(found["preference"])
        ],
        plot,
        series="arm",
        value="objective",
        axis="likeness of the evidence to the real text (95% interval by person)",
    )
    if json:
        emit_json(found)
    else:
        _show_evidence(found)


def _show_evidence(found: Mapping[str, Any]) -> None:
    """Print the results on `report`, and the choices made on `gate`."""

    def gain(row: Row) -> str:
        return f"{_gain(row, digits=4)}  {row['people']} people"

    for row in _of_report(found["preference_paired"]):
        if row["metric"] in ("objective", "coverage"):
            what = f"{row['arm']} - {row['against']}, {row['metric']}"
            stdout.print(f"{row['data']:>16}  history {row['history']:>4}  {what:>38}  {gain(row)}")
    for row in _of_report(found["style"]):
        what = f"style {row['form']}, aligned - random"
        stdout.print(f"{row['data']:>16}  history {row['history']:>4}  {what:>38}  {gain(row)}")
    for row in _of_report(found["lengths"]):
        forms = [f"{name} {row[name]:.2f}" for name in row if name not in _LENGTH_LABELS]
        known = f"history {row['history']:>4}"
        stdout.print(f"{row['data']:>16}  {known}  length correlation: {', '.join(forms)}")
    for row in _of_report(found["unknown"]):
        stdout.print(f"{row['data']:>16}  known: {row['kind']:>30}  {gain(row)}")
    for name, chosen in found["chosen"].items():
        stdout.print(f"chosen on gate: {name} {chosen.get('weight', chosen.get('confidence'))}")


_LENGTH_LABELS = ("data", "split", "history")


def graph(data: DataOption, plot: PlotOption = None, json: JsonOption = False) -> None:
    """Measure link prediction of the user-topic graph, trained and training-free."""
    from ...bench.graph import measure_graph

    found = _measure(
        lambda topic: measure_graph(data, topic, say=say),
        lambda found: found["rows"],
        plot,
        series="method",
        value="recall_at_10",
        axis="hidden topics among the first 10 (mean over people, 95% interval)",
    )
    if json:
        emit_json(found)
        return
    for row in found["rows"]:
        stdout.print(
            f"{row['data']:>14}  {row['method']:>23}  recall@10 {row['recall_at_10']:.3f} "
            f"{_interval(row['ci95'])}  MRR {row['mrr']:.3f}  {row['n']} people, "
            f"{row['links']} links, {row['topics']} topics"
        )
    for pair in found["paired"]:
        against = f"trained - {pair['against']:>10}"
        stdout.print(f"{pair['data']:>14}  {pair['figure']:>16}  {against}  {_gain(pair)}")
    for row in found["aligned"]:
        interval = _interval(row["rating_over_random_ci95"], sign="+")
        stdout.print(
            f"{row['data']:>14}  {row['by']:>19}  ratings agree {row['rating_agreement']:.3f}, "
            f"{row['rating_over_random']:+.3f} {interval} over random, {row['people']} people"
        )


def campaign(
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=32, help="Pieces of evidence.")] = 8,
    json: JsonOption = False,
) -> None:
    """Measure what accounts of one attacker change in evidence and summary."""
    from ...bench.campaign import DISTINCT, HONEST, measure_campaigns
    from ...models.encoders.open import open_topic_encoder
    from ...models.encoders.remembered import RememberedEncoder
    from ...models.encoders.style import StyleEncoder

    with errors_as_lines():
        style, topic = StyleEncoder.untrained([*HONEST, *DISTINCT]), open_topic_encoder()
        rows = measure_campaigns(style, RememberedEncoder(topic), k=k)
    if json:
        emit_json({"rows": rows, "k": k})
        return
    for row in rows:
        says = "abstains" if row["abstains"] else f"in the summary: {row['carries']}"
        stdout.print(
            f"{row['campaign']:>21}  {row['real']:>2} honest, {row['accounts']:>2} planted: "
            f"{row['planted']} of {row['pieces']} pieces ({row['share']:.2f}); {says}"
        )


def soak(
    minutes: Annotated[float, typer.Option(min=0.1, callback=finite, help="How long.")] = 30.0,
    rounds: Annotated[int, typer.Option(min=0, help="People forgotten at least.")] = 0,
    people: Annotated[int, typer.Option(min=10, help="People at once.")] = 120,
    checkpoint: Annotated[
        float, typer.Option(min=1, callback=finite, help="Seconds between checkpoints.")
    ] = 60.0,
    json: JsonOption = False,
) -> None:
    """Ingest, write, forget, swap adapters and compact at once; exit 1 if an invariant breaks."""
    import multiprocessing

    from ...bench.soak.run import soak as run_soak

    context = multiprocessing.get_context("spawn")
    with errors_as_lines():
        soaked = run_soak(
            minutes, context=context, rounds=rounds, people=people, checkpoint_s=checkpoint, say=say
        )
    found = soaked.as_dict()
    if json:
        emit_json(found)
    else:
        _show_soak(found)
    if soaked.broken:
        raise typer.Exit(1)


def _show_soak(found: Mapping[str, Any]) -> None:
    """Print one table: actions with their times, what came of them, growth, what broke."""
    for name, count in found["counts"].items():
        each = found["seconds"].get(name)
        times = f"  p50 {each['p50']:.3f} s  p95 {each['p95']:.3f} s" if each else ""
        stdout.print(f"{count:>9,}  {name}{times}")
    for name, each in found["growth"].items():
        means = f"{each['middle']:,} in the second third, {each['last']:,} in the last"
        stdout.print(f"{name:>28}: {means}, {each['a_minute']:+} a minute")
    for name, value in found["last_checkpoint"].items():
        stdout.print(f"{value:>9,}  {name} at the last of {found['checkpoints']} checkpoints")
    rounds, left = found["rounds_of_forgetting"], found["bytes_found"]
    stdout.print(f"{left:>9,}  forgotten marks and ids in any byte after {rounds} removals")
    for says in found["broken"]:
        stdout.print(f"   broken  {says}", markup=False)
    if not found["broken"]:
        stdout.print(f"no invariant broke in {found['minutes']} minutes")


def _measure(
    measure: Callable[[Encoder], dict[str, Any]],
    rows: Callable[[Mapping[str, Any]], Sequence[Row]],
    plot: Path | None,
    **labels: Any,
) -> dict[str, Any]:
    """Run a bench with the bundled topic encoder, and plot its rows where a file is given."""
    from ...bench.plots import plot_intervals
    from ...models.encoders.open import open_topic_encoder

    with errors_as_lines():
        found = measure(open_topic_encoder())
        if plot is not None:
            plot_intervals(rows(found), plot, **labels)
    return found


def _of_report(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["split"] == "report"]


def _interval(ends: Sequence[float], *, sign: str = "", digits: int = 3) -> str:
    low, high = (f"{end:{sign}.{digits}f}" for end in ends)
    return f"[{low}, {high}]"


def _gain(row: Row, digits: int = 3) -> str:
    return f"{row['gain']:+.{digits}f} {_interval(row['ci95'], sign='+', digits=digits)}"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("campaign")(campaign)
    app.command("encoder")(encoder)
    app.command("evidence")(evidence)
    app.command("graph")(graph)
    app.command("soak")(soak)
