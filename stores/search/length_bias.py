"""Measure the direction in which a style vector moves with a text's length, and remove it.

Style encoders are sensitive to length: in what they count, and in how noisy a short text's counts
are. People found by such vectors match the requester's length more closely than the requester's own
next text does (docs/retrieval.md). The direction is measured for any encoder on texts of the
bundled corpus cut after one, two and four sentences: author and subject stay the same, only the
length differs. Nothing of a store is used, so no target can show through.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..datasets.formats import read_texts
from ..datasets.sample import sample_corpus
from ..texts.arrow import unit
from ..types import Encoder, Text, Vectors

SENTENCES = (1, 2, 4)
"""Numbers of sentences after which a text is cut; the whole text is used too."""

EVERY = 3
"""Every third text of the corpus is enough: the direction's cosine to that of all is .97."""

_END = re.compile(r"[.!?]+(?=\s)")


class LengthAxis:
    """The length direction of one encoder, measured on first use."""

    def __init__(self, encoder: Encoder) -> None:
        """Take the encoder that made the vectors."""
        self._encoder = encoder
        self._found: Vectors | None = None

    async def without_length(self, query: Vectors, share: float = 1.0) -> Vectors:
        """Return a unit style vector without its length direction, at unit length.

        A cosine to it leaves the length out on both sides: the other vector's component in that
        direction is multiplied by zero.

        Args:
            query: Shape (style dimension,).
            share: Share of that direction that is removed, 0 to 1.
        """
        if share == 0:
            return query
        if self._found is None:
            self._found = await asyncio.to_thread(measure_length_axis, self._encoder)
        return unit(query - share * float(query @ self._found) * self._found)


def measure_length_axis(encoder: Encoder) -> Vectors:
    """Return the unit direction, shape (style dimension,). Blocks while it encodes 300 texts."""
    texts = [text.body for text in read_texts(sample_corpus()) if isinstance(text, Text)]
    forms = [cut(body) for body in texts[::EVERY]]
    vectors = encoder.encode([form for each in forms for form in each])
    total: NDArray[np.float64] = np.zeros(encoder.dimension)
    begin = 0
    for each in forms:
        rows = vectors[begin : begin + len(each)].astype(np.float64)
        begin += len(each)
        lengths = np.log([len(form.split()) for form in each])
        total += (lengths - lengths.mean()) @ (rows - rows.mean(axis=0))
    return unit(total)


def cut(body: str, sentences: Sequence[int] = SENTENCES) -> list[str]:
    """Return a text cut after each number of sentences, and the whole text; each once."""
    ends = [found.end() for found in _END.finditer(body)]
    parts = [body[: ends[count - 1]] for count in sentences if count <= len(ends)]
    return list(dict.fromkeys([*parts, body]))
