"""How far what is known of somebody's style can be trusted: further with each text.

A text's style vector is its author's own style plus what is the text's alone. With r the mean
cosine of two texts of one author on different topics, less that of two authors, the mean of n texts
correlates with its author's own style as sqrt(n / (n + c)), c = (1 - r) / r (Spearman 1910,
Brown 1910). A cosine of two means is expected to be that of the two styles shrunk by this factor
for either side: of two authors at the same cosine, the one with more texts is the surer find.
"""

from __future__ import annotations

TEXTS_FOR_HALF = 3.3
"""c: r = .234 over 438 people of the `train` split of instruments, untrained style encoder
(`patlm bench evidence`, docs/retrieval.md)."""

WORDS_OF_A_TEXT = 46
"""Words of a request that are worth one text: the median text of the same data."""


def reliability(texts: float, half: float = TEXTS_FOR_HALF) -> float:
    """Return sqrt(n / (n + c)), 0 for no text.

    Args:
        texts: n; a request's own words count as a share of a text.
        half: c.
    """
    return (texts / (texts + half)) ** 0.5 if texts else 0.0
