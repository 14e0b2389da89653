"""The shape of a text: what is left of it when words and numbers are blotted out.

"I paid $20 -- not  bad." becomes "A a $9 -- a  a." Its character n-grams tell habits of spacing,
case and punctuation in their surroundings, and hardly anything of the subject.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from .char_ngrams import hash_ngrams
from .style_features import MAX_CHARACTERS

_UPPER = re.compile(r"[A-ZÀ-ÖØ-Þ]")
_LOWER = re.compile(r"[a-zß-öø-ÿ]+")
_DIGIT = re.compile(r"\d+")


def shape_of(text: str) -> str:
    """Return the text with A for each capital, a for a run of small letters, 9 for a number."""
    return _DIGIT.sub("9", _LOWER.sub("a", _UPPER.sub("A", text[:MAX_CHARACTERS])))


def shape_ngrams(text: str, dimension: int) -> NDArray[np.float64]:
    """Return hashed counts of the shape's n-grams, shape (dimension,), see `hash_ngrams`."""
    return hash_ngrams(shape_of(text), dimension)
