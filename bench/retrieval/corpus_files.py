"""A corpus on disk with its vectors: written once, then streamed into a store.

Three files in a folder: `texts.jsonl`, and raw float32 rows in `style.f32` and `topic.f32`. They
are read, not memory-mapped, so that the peak memory of a build is the store's own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ...stores.files import make_folder, new_file
from ...stores.types import Embedded, Text, Vectors
from .corpus import Corpus
from .vector_model import VectorModel

BATCH = 8_192
"""Texts written and read at once."""

TEXTS_FILE, STYLE_FILE, TOPIC_FILE = "texts.jsonl", "style.f32", "topic.f32"


@dataclass(frozen=True)
class CorpusFiles:
    """The files of a corpus.

    Attributes:
        folder: Of the three files.
        style_dimension: Of the rows of `style.f32`.
        topic_dimension: Of the rows of `topic.f32`.
    """

    folder: Path
    style_dimension: int
    topic_dimension: int

    def batches(self) -> Iterator[Embedded]:
        """Yield the texts and their vectors in order."""
        with (
            (self.folder / TEXTS_FILE).open(encoding="utf-8") as lines,
            (self.folder / STYLE_FILE).open("rb") as style,
            (self.folder / TOPIC_FILE).open("rb") as topic,
        ):
            while texts := [Text(**json.loads(line)) for line in islice(lines, BATCH)]:
                rows = len(texts)
                yield Embedded(
                    texts,
                    np.fromfile(style, np.float32, rows * self.style_dimension).reshape(rows, -1),
                    np.fromfile(topic, np.float32, rows * self.topic_dimension).reshape(rows, -1),
                )

    def vectors(self) -> tuple[Vectors, Vectors]:
        """Return all style and all topic vectors, in memory."""
        style = np.fromfile(self.folder / STYLE_FILE, np.float32).reshape(-1, self.style_dimension)
        topic = np.fromfile(self.folder / TOPIC_FILE, np.float32).reshape(-1, self.topic_dimension)
        return style, topic


def write_corpus(
    corpus: Corpus, style: Iterable[Vectors], topic: Iterable[Vectors], folder: Path
) -> CorpusFiles:
    """Write a corpus with vectors that come in the order of its texts.

    Args:
        corpus: The texts.
        style: Rows of style vectors, in batches of any size.
        topic: The same of topic vectors.
        folder: Made if missing.
    """
    make_folder(folder)
    with new_file(folder / TEXTS_FILE).open("w", encoding="utf-8") as lines:
        for text in corpus:
            lines.write(json.dumps(asdict(text), ensure_ascii=False) + "\n")
    widths = [_write_rows(folder / STYLE_FILE, style), _write_rows(folder / TOPIC_FILE, topic)]
    return CorpusFiles(folder, *widths)


def synthetic_files(
    corpus: Corpus, style: VectorModel, topic: VectorModel, folder: Path
) -> CorpusFiles:
    """Write a corpus with synthetic vectors."""

    def draw(model: VectorModel, seed: int) -> Iterator[Vectors]:
        return model.draw(corpus.author, corpus.topic, rows=BATCH, seed=corpus.seed + seed)

    return write_corpus(corpus, draw(style, 2), draw(topic, 3), folder)


def timed(batches: Iterable[Embedded], spend: Callable[[float], None]) -> Iterator[Embedded]:
    """Yield batches and report the seconds that each took to arrive."""
    source = iter(batches)
    while True:
        began = time.perf_counter()
        batch = next(source, None)
        spend(time.perf_counter() - began)
        if batch is None:
            return
        yield batch


def _write_rows(file: Path, batches: Iterable[Vectors]) -> int:
    width = 0
    with new_file(file).open("wb") as out:
        for rows in batches:
            width = rows.shape[1]
            rows.astype(np.float32).tofile(out)
    return width
