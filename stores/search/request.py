"""A search for evidence as one value: built by a node, handed through to the ranking."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, cast, get_args

from ..errors import InvalidQuery

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..types import Encoder, History, Vectors

    Counts = TypeVar("Counts", float, NDArray[np.float32])

TEXTS_FOR_HALF = 3.3
"""c = (1 - r) / r: r = .234 over 438 people of the `train` split of instruments, untrained style
encoder (`patlm bench evidence`, docs/retrieval.md)."""

MIN_AUTHORS = 2
"""Authors that a preference needs at least: what one person holds is no preference of people."""

Selection = Literal["aligned", "random", "anti_aligned", "same_topic", "random_topic"]
SELECTIONS: tuple[Selection, ...] = get_args(Selection)


def reliability(texts: Counts, half: float = TEXTS_FOR_HALF) -> Counts:
    """Return how far a mean style vector can be trusted: sqrt(n / (n + c)), 0 for no text.

    A text's style vector is its author's own style plus noise of the one text. With r the mean
    cosine of two texts of one author on different topics, less that of two authors, the mean of n
    texts correlates with its author's style as sqrt(n / (n + c)), c = (1 - r) / r (Spearman 1910,
    Brown 1910). The expected cosine of two styles is the cosine of the means times this factor for
    each side: of two authors at the same cosine, the one with more texts is the safer choice.

    Args:
        texts: n; a request's own words count as a fraction of a text.
        half: c, the texts from which a mean is half signal.
    """
    # numpy keeps 32-bit floats beside a Python float; its types say 64.
    return cast("Counts", (texts / (texts + half)) ** 0.5)


@dataclass(frozen=True)
class Weights:
    """Weights of the ranking.

    The defaults were chosen by `patlm bench evidence` on the splits that may decide
    (docs/retrieval.md).

    Attributes:
        words: For preference: weight of the BM25 ranking.
        topic: For preference: weight of the ranking by topic vectors.
        alignment: For preference: weight a of an author's alignment, which multiplies a score by
            1 - a/2 to 1 + a/2.
        diversity: For preference: penalty for a cosine of 1 to a text already selected (maximal
            marginal relevance).
        length: For style: share of the length direction that is removed (`length_bias`).
        shrinkage: For style: texts from which an author's mean is half signal (`reliability`);
            0: scores are not shrunk.
    """

    words: float = 1.0
    topic: float = 1.0
    alignment: float = 0.0
    diversity: float = 0.1
    length: float = 1.0
    shrinkage: float = TEXTS_FOR_HALF


@dataclass(frozen=True)
class SearchRequest:
    """What a search is asked for: by whom, with what, and which texts to select.

    Attributes:
        history: The requester, whose texts are never found.
        query: Unit vector, shape (dimension,): how the user writes by the style encoder, or what
            the request is about by the topic encoder.
        words: What the request is about in words, for BM25 (preference).
        topic_id: What it is about, as the store names it; None or "" where that is not known.
        k: How many texts.
        selection: `aligned`: of the nearest people; `random`: of anybody among the candidates, each
            text matched in length and rating with an aligned one; `anti_aligned`: of the people
            farthest away; `same_topic`: on the topic, for preference by relevance alone;
            `random_topic`: of anybody, on other topics.
        seed: Random seed.
        weights: Of the ranking.
        text: The request's own text, "" where it has none; its near-copies are filtered out. A
            draft that joins the words does not belong here.
        min_authors: Of evidence on a topic, one author writes at most one in so many pieces.
        exact: Compare with all users and texts in full, however many: to measure what the
            approximation misses.
    """

    history: History
    query: Vectors
    words: str = ""
    topic_id: str | None = None
    k: int = 4
    selection: Selection = "aligned"
    seed: int = 0
    weights: Weights = Weights()
    text: str = ""
    min_authors: int = MIN_AUTHORS
    exact: bool = False

    @property
    def least_authors(self) -> int:
        """Authors that the evidence needs; no more than pieces are asked for."""
        return min(self.min_authors, self.k)

    def check(self, encoder: Encoder) -> None:
        """Check query and k.

        Args:
            encoder: What the query must have been made with.

        Raises:
            InvalidQuery: The query has another shape, or k is below 1.
        """
        if self.query.shape != (encoder.dimension,) or self.k < 1:
            raise InvalidQuery(
                f"expected a query of shape ({encoder.dimension},) and k >= 1, got shape "
                f"{self.query.shape} and k = {self.k}: embed one text with {encoder.version!r} and "
                "take its row"
            )

    def shuffled(self, count: int, *more: str | None) -> NDArray[np.int64]:
        """Return the numbers below `count` in random order, the same for the same request.

        Args:
            count: How many.
            more: Further strings that change the order.
        """
        import numpy as np

        person = (self.history.namespace, self.history.user_id)
        key = "\x1f".join([str(self.seed), self.selection, *person, *(part or "" for part in more)])
        digest = hashlib.sha256(key.encode()).digest()
        order: NDArray[np.int64] = np.random.default_rng(list(digest)).permutation(count)
        return order
