"""Find the text that is to be written in the prompts of the language model.

A leak is a run of twelve consecutive words of the real text in a prompt; where the real text is
shorter, all of it. Runs of the request's own words are none: they are asked with. Those that
another user's text holds too are counted apart: a phrase that a site glues to reviews gives nobody
away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...stores.search.words import folded
from ...stores.types import Text

RUN = 12
"""Words of a run."""

LEAST_WORDS = 8
"""Real texts with fewer are not looked for: a title of three words says itself."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Leaks:
    """What was found in the prompts of one target.

    Attributes:
        runs: Runs that only the real text holds.
        shared_runs: Runs that another user's text holds, too.
    """

    runs: int = 0
    shared_runs: int = 0


class LeakCheck:
    """Looks for real texts in prompts.

    Args:
        texts: All texts of the data set, to tell which runs others wrote, too.
    """

    def __init__(self, texts: Iterable[Text]) -> None:
        self._texts = list(texts)
        self._padded: list[tuple[str, str]] | None = None

    def look(self, real: str, asked: str, user_id: str, prompts: Iterable[str]) -> Leaks | None:
        """Return the runs of a real text that stand in prompts; None where it is too short.

        Args:
            real: What was to be written.
            asked: The request's own words.
            user_id: Whose text it is.
            prompts: All that the model was shown.
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
    """Return all that the model was shown in calls, as `nodes.model_call` records them."""
    return [turn["content"] for call in calls for turn in call["messages"]]


def _runs(text: str) -> list[str]:
    """Return the runs of a text, each between spaces."""
    words = _words(text)
    last = max(1, len(words) - RUN + 1)
    return [f" {' '.join(words[at : at + RUN])} " for at in range(last)] if words else []


def _padded(text: str) -> str:
    return f" {' '.join(_words(text))} "


def _words(text: str) -> list[str]:
    # By letters and digits alone: prompts put signs around what they quote.
    return _WORD.findall(folded(text))
