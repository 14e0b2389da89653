"""Find leaks: the real text in prompts of the language model.

A leak is a run of twelve consecutive words of the real text in a prompt; if the real text is
shorter, all of it. Runs of the request's own words do not count. Runs that another user's text
contains as well are counted separately: boilerplate that a site adds to reviews identifies nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...stores.search.words import folded
from ...stores.types import Text

RUN = 12
"""Number of words of a run."""

LEAST_WORDS = 8
"""Real texts with fewer words are not searched for: a title of three words occurs by chance."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Leaks:
    """Leaks in the prompts of one target.

    Attributes:
        runs: Number of runs that only the real text contains.
        shared_runs: Number of runs that another user's text contains as well.
    """

    runs: int = 0
    shared_runs: int = 0


class LeakCheck:
    """Searches prompts for real texts.

    Args:
        texts: All texts of the data set, to recognise runs that other users wrote as well.
    """

    def __init__(self, texts: Iterable[Text]) -> None:
        self._texts = list(texts)
        self._padded: list[tuple[str, str]] | None = None

    def look(self, real: str, asked: str, user_id: str, prompts: Iterable[str]) -> Leaks | None:
        """Count the runs of a real text that occur in prompts; None if it is too short.

        Args:
            real: The real text.
            asked: The request's own words.
            user_id: Author of the real text.
            prompts: Everything that the model received.
        """
        if len(_words(real)) < LEAST_WORDS:
            return None
        given = _padded(asked)
        runs = {run for run in _runs(real) if run not in given}
        found: set[str] = set()
        for prompt in prompts:
            padded = _padded(prompt)
            found |= {run for run in runs if run in padded}
        shared = sum(self._others_wrote(run, user_id) for run in found)
        return Leaks(len(found) - shared, shared)

    def _others_wrote(self, run: str, user_id: str) -> bool:
        if self._padded is None:
            self._padded = [(text.user_id, _padded(text.body)) for text in self._texts]
        return any(run in padded for user, padded in self._padded if user != user_id)


def shown(calls: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the texts of all prompts of calls, as `nodes.model_call` records them."""
    return [turn["content"] for call in calls for turn in call["messages"]]


def _runs(text: str) -> list[str]:
    """Return the runs of a text, each enclosed in spaces."""
    words = _words(text)
    last = max(1, len(words) - RUN + 1)
    return [f" {' '.join(words[at : at + RUN])} " for at in range(last)] if words else []


def _padded(text: str) -> str:
    return f" {' '.join(_words(text))} "


def _words(text: str) -> list[str]:
    # Compare letters and digits only: prompts put quotation marks around texts.
    return _WORD.findall(folded(text))
