"""Vectors and counts of certain texts, made once: a bench goes over the same texts many times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray

from ..models.style_modules import count_texts
from ..stores.records import Encoder, Vectors


class KnownVectors:
    """A `stores.records.Encoder` of certain texts only, which other processes can be handed."""

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        """Embed the texts by an encoder that stays here."""
        self.version, self.dimension = encoder.version, encoder.dimension
        self._place = {text: at for at, text in enumerate(dict.fromkeys(texts))}
        self._rows = encoder.encode(list(self._place))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text, shape (len(texts), dimension).

        Raises:
            KeyError: A text is none of those that were embedded.
        """
        return self._rows[[self._place[text] for text in texts]]


class RememberedCounts:
    """A `models.style_modules.Count` that has counted some texts; others it counts as they come."""

    def __init__(self, texts: Iterable[str], *, jobs: int = 1) -> None:
        """Count texts, in as many processes as there are jobs."""
        every = list(dict.fromkeys(texts))
        parts = [every[begin : begin + PART] for begin in range(0, len(every), PART)]
        counted = Parallel(n_jobs=jobs)(delayed(_counted)(part) for part in parts)
        self._place = {text: at for at, text in enumerate(every)}
        # Not tensors: joblib hands large arrays to other processes without copying them.
        self._rows = {name: np.concatenate([part[name] for part in counted]) for name in counted[0]}

    def __call__(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return a row of counts a text."""
        if not all(text in self._place for text in texts):
            return count_texts(texts)
        at = [self._place[text] for text in texts]
        return {name: torch.from_numpy(rows[at]) for name, rows in self._rows.items()}


PART = 1_000


def _counted(texts: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    return {name: rows.numpy() for name, rows in count_texts(texts).items()}
