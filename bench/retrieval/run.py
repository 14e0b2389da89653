"""Is retrieval fast and right up to a million texts? Every figure of `patlm bench retrieval`.

Each size has its own corpus (`corpus`), store, searches one by one (`queries`) and baselines
(`baselines`), all in one run, so that their ratios hold on any machine. A store is filled in a
process of its own, whose peak memory is that of the build:

    python -m patlm.bench.retrieval.run FOLDER URI STYLE_VERSION STYLE_DIMENSION TOPIC_VERSION
        TOPIC_DIMENSION
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ...stores.texts.schema import RecordedEncoder
from ...stores.texts.store import TextStore
from ...stores.types import Encoder, Text, Vectors
from ..data import topic_input
from .baselines import BaselineTimes, measure_langgraph, measure_numpy
from .corpus import TEXTS_PER_TOPIC, TEXTS_PER_USER, Corpus, SentencePool
from .corpus_files import CorpusFiles, synthetic_files, timed, write_corpus
from .queries import (
    TRAJECTORIES,
    WARM_UPS,
    Answer,
    Checked,
    Query,
    Trajectory,
    ask_in_turn,
    check,
    draw_queries,
)
from .vector_model import VectorModel, compare

Say = Callable[[str], None]

REAL_TEXTS = 10_000
"""Texts that are really embedded; corpora of other sizes have synthetic vectors like theirs."""

STATISTICS_TEXTS = 5_000
"""Texts that a store's own style encoder takes its statistics from."""

EXACT_QUERIES = 200
"""Of each trajectory, repeated without approximation: seconds each where a topic is large."""

INGESTED = 512
"""Texts of a round of ingest: one embedding batch of the store."""

ROUNDS = 2

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class RealVectors:
    """Real vectors of some texts, and models of them.

    Attributes:
        corpus: The texts they are of.
        style: Their style vectors.
        topic: Their topic vectors.
    """

    corpus: Corpus
    style: Vectors
    topic: Vectors

    @cached_property
    def models(self) -> tuple[VectorModel, VectorModel]:
        """A model of the style vectors and one of the topic vectors."""
        author, topic = self.corpus.author, self.corpus.topic
        style, about = (VectorModel.fit(each, author, topic) for each in (self.style, self.topic))
        return style, about

    def compared(self) -> dict[str, object]:
        """Return statistics of the real and of synthetic vectors of the same texts."""
        author, topic = self.corpus.author, self.corpus.topic
        kinds = zip(("style", "topic"), (self.style, self.topic), self.models, strict=True)
        return {
            name: compare(
                real,
                next(iter(model.draw(author, topic, rows=len(real), seed=4))),
                author,
                topic,
            )
            for name, real, model in kinds
        }


def open_bench_encoders(source: SentencePool) -> tuple[Encoder, Encoder]:
    """Return the default encoders of a new store: untrained style encoder, and MiniLM."""
    from ...models.encoders.open import open_topic_encoder
    from ...models.encoders.style import StyleEncoder

    first = islice(Corpus(source, REAL_TEXTS), STATISTICS_TEXTS)
    return StyleEncoder.untrained([text.body for text in first]), open_topic_encoder()


async def measure_retrieval(
    sizes: Sequence[int],
    source: SentencePool,
    style: Encoder,
    topic: Encoder,
    folder: Path,
    *,
    queries: int = 1_000,
    real_texts: int = REAL_TEXTS,
    ingested: int = INGESTED,
    say: Say,
) -> dict[str, Any]:
    """Measure every size.

    Args:
        sizes: Texts of each, smallest first.
        source: Sentences that texts are made of.
        style: The stores' style encoder.
        topic: The stores' topic encoder.
        folder: For corpora and stores; a corpus is removed after use.
        queries: Measured searches of each trajectory and size, after warm-ups.
        real_texts: Texts that are really embedded.
        ingested: Texts of a round of ingest.
        say: Called with each step.
    """
    sample = _embed(Corpus(source, min(real_texts, max(sizes))), style, topic, say)
    found: dict[str, Any] = {
        "rows": [],
        "baselines": [],
        "stopped": [],
        "builds": [],
        "vectors": sample.compared(),
        "queries": queries,
        "k": 10,
    }
    for name, kinds in found["vectors"].items():
        for kind, figures in kinds.items():
            say(f"{name} vectors, {kind}: {figures}")
    for texts in sizes:
        await _measure_size(texts, sample, style, topic, folder, queries, ingested, say, found)
    return found


async def _measure_size(
    texts: int,
    sample: RealVectors,
    style: Encoder,
    topic: Encoder,
    folder: Path,
    queries: int,
    ingested: int,
    say: Say,
    found: dict[str, Any],
) -> None:
    say(f"{texts:,} texts: corpus")
    files = _write(texts, sample, folder / f"corpus-{texts}")
    say(f"{texts:,} texts: build")
    uri = str(folder / f"store-{texts}")
    built = build(files, uri, style, topic)
    say(f"{texts:,} texts: {built}")
    wanted = len(TRAJECTORIES) * (queries + WARM_UPS)
    drawn = draw_queries(files.batches(), texts, wanted, seed=5)
    async with TextStore.open(uri, style_encoder=style, topic_encoder=topic) as store:
        answers = await ask_in_turn(store, drawn)
        say(f"{texts:,} texts: the same without approximation")
        checked = {
            name: await check(store, answers[name][:EXACT_QUERIES], name) for name in answers
        }
        say(f"{texts:,} texts: ingest")
        fresh = Corpus(sample.corpus.source, texts, seed=1)
        ingest = await _ingest(store, fresh, ingested, style, topic)
    rows = [
        _row(texts, name, part, answers[name], checked[name], built, ingest)
        for name in TRAJECTORIES
        for part in ("all", "large_topic")
        if part == "all" or any(query.in_large_topic for query, _ in answers[name][:EXACT_QUERIES])
    ]
    for row in rows:
        row["vectors"] = "real" if texts == len(sample.corpus) else "synthetic"
        say(f"{row}")
    found["rows"] += rows
    found["builds"].append({**asdict(built), **ingest})
    found.setdefault("embedding_ms", _embedding(drawn[:100], style, topic))
    say(f"{texts:,} texts: baselines")
    every = drawn[: queries + WARM_UPS]
    for measure in (_numpy, measure_langgraph):
        # In a thread: LangGraph's store gets an event loop of its own.
        times = await asyncio.to_thread(measure, files, every)
        say(f"{texts:,} texts: {times.system} {times.stopped or len(times.milliseconds)}")
        kind, row = _baseline(times, texts)
        found[kind].append(row)
    shutil.rmtree(files.folder)


def _embed(corpus: Corpus, style: Encoder, topic: Encoder, say: Say) -> RealVectors:
    texts = list(corpus)
    say(f"{len(texts):,} texts are embedded")
    began = time.perf_counter()
    vectors = [encoder.encode(parts) for encoder, parts in _inputs(texts, style, topic)]
    say(f"embedded {len(texts) / (time.perf_counter() - began):.0f} texts/s, both encoders")
    return RealVectors(corpus, *vectors)


def _inputs(
    texts: Sequence[Text], style: Encoder, topic: Encoder
) -> list[tuple[Encoder, list[str]]]:
    """Return the input of each encoder for some texts, as in the store."""
    return [(style, [text.body for text in texts]), (topic, [topic_input(text) for text in texts])]


def _write(texts: int, sample: RealVectors, folder: Path) -> CorpusFiles:
    if texts == len(sample.corpus):
        return write_corpus(sample.corpus, [sample.style], [sample.topic], folder)
    return synthetic_files(Corpus(sample.corpus.source, texts), *sample.models, folder)


async def _ingest(
    store: TextStore, fresh: Corpus, ingested: int, style: Encoder, topic: Encoder
) -> dict[str, float]:
    """Return the store's ingest rate over that of the bare encoders, one after the other.

    New texts of the same kind go through both in rounds, in alternating order.
    """
    texts, spent = iter(fresh), {"raw": 0.0, "ingest": 0.0}
    for turn in range(ROUNDS):
        part = list(islice(texts, ingested))
        for which in ("raw", "ingest") if turn % 2 else ("ingest", "raw"):
            began = time.perf_counter()
            if which == "raw":
                for encoder, parts in _inputs(part, style, topic):
                    encoder.encode(parts)
            else:
                await store.add(part)
            spent[which] += time.perf_counter() - began
    done = min(ROUNDS * ingested, len(fresh))
    return {
        "ingest_ratio": round(spent["raw"] / spent["ingest"], 3),
        "raw_texts_per_s": round(done / spent["raw"], 1),
        "ingest_texts_per_s": round(done / spent["ingest"], 1),
    }


def _embedding(queries: Sequence[Query], style: Encoder, topic: Encoder) -> dict[str, Any]:
    """Return the time of embedding one request, which the rows leave out."""
    times: dict[str, list[float]] = {"style": [], "topic": []}
    for query in queries:
        for name, (encoder, part) in zip(times, _inputs([query.text], style, topic), strict=True):
            began = time.perf_counter()
            encoder.encode(part)
            times[name].append((time.perf_counter() - began) * 1000)
    return {
        name: dict(zip(("p50", "p95"), _percentiles(each, 50, 95), strict=True))
        for name, each in times.items()
    }


def _row(
    texts: int,
    trajectory: Trajectory,
    part: str,
    answers: Sequence[tuple[Query, Answer]],
    checked: Sequence[Checked],
    built: Built,
    ingest: Mapping[str, float],
) -> dict[str, Any]:
    times = [
        answer.milliseconds for query, answer in answers if part == "all" or query.in_large_topic
    ]
    exact = [each for each in checked if part == "all" or each.query.in_large_topic]
    p50, p95, p99 = _percentiles(times, 50, 95, 99)
    return {
        "texts": texts,
        "users": texts // TEXTS_PER_USER,
        "topics": texts // TEXTS_PER_TOPIC,
        "trajectory": trajectory,
        "part": part,
        "queries": len(times),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "recall_at_10": round(float(np.mean([each.recall for each in exact])), 4),
        "exact_p50_ms": _percentiles([each.exact_ms for each in exact], 50)[0],
        "exact_queries": len(exact),
        "build_s": built.build_s,
        "ingest_ratio": ingest["ingest_ratio"],
        "peak_mb": built.peak_mb,
    }


def _numpy(files: CorpusFiles, queries: Sequence[Query]) -> BaselineTimes:
    return measure_numpy(*files.vectors(), queries)


def _baseline(times: BaselineTimes, texts: int) -> tuple[str, dict[str, Any]]:
    if times.stopped:
        return "stopped", {"system": times.system, "texts": texts, "why": times.stopped}
    p50, p95 = _percentiles(times.milliseconds, 50, 95)
    return "baselines", {
        "system": times.system,
        "texts": texts,
        "p50_ms": p50,
        "p95_ms": p95,
        "queries": len(times.milliseconds),
    }


def _percentiles(values: Sequence[float], *at: int) -> list[float]:
    if not values:
        return [float("nan")] * len(at)
    return [round(float(cut), 3) for cut in np.percentile(values, at)]


@dataclass(frozen=True)
class Built:
    """Time and memory of a build.

    Attributes:
        build_s: Seconds of loading, indexes and compaction; without reading the corpus.
        load_s: Of these until the last text was stored.
        source_s: Seconds of reading the corpus.
        peak_mb: Peak memory of the process, in 2²⁰ bytes.
        texts: Number of texts stored.
    """

    build_s: float
    load_s: float
    source_s: float
    peak_mb: float
    texts: int


def build(files: CorpusFiles, uri: str, style: Encoder, topic: Encoder) -> Built:
    """Fill a store in a process of its own.

    Args:
        files: The corpus.
        uri: Of the new store.
        style: The encoder that made the style vectors, or that they imitate.
        topic: The same of the topic vectors.

    Raises:
        RuntimeError: The process failed; holds the end of its output.
    """
    command = [sys.executable, "-m", "patlm.bench.retrieval.run", str(files.folder), uri]
    for encoder in (style, topic):
        command += [encoder.version, str(encoder.dimension)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the build of {uri} failed: {done.stderr[-2_000:]}")
    return Built(**json.loads(done.stdout.splitlines()[-1]))


def peak_megabytes() -> float:
    """Return the peak memory of this process, in 2²⁰ bytes.

    `getrusage` includes the parent between fork and exec, so Linux' figure of the program alone is
    preferred where there is one.
    """
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


async def _fill(files: CorpusFiles, uri: str, style: Encoder, topic: Encoder) -> Built:
    began = time.perf_counter()
    waited: list[float] = []
    async with TextStore.open(uri, style_encoder=style, topic_encoder=topic) as store:
        added = await store.load(timed(files.batches(), waited.append))
        loaded = time.perf_counter()
        await store.compact(threshold=0)
    source = sum(waited)
    return Built(
        build_s=round(time.perf_counter() - began - source, 2),
        load_s=round(loaded - began - source, 2),
        source_s=round(source, 2),
        peak_mb=round(peak_megabytes(), 1),
        texts=added.added,
    )


def _main(arguments: Sequence[str]) -> None:
    folder, uri, style, style_dimension, topic, topic_dimension = arguments
    encoders = [
        RecordedEncoder(style, int(style_dimension)),
        RecordedEncoder(topic, int(topic_dimension)),
    ]
    files = CorpusFiles(Path(folder), *(encoder.dimension for encoder in encoders))
    built = asyncio.run(_fill(files, uri, *encoders))
    sys.stdout.write(json.dumps(asdict(built)) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
