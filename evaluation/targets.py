"""Targets of a benchmark: each one's request and real text.

    long    title -> text             short   text -> title
    rating  title and text -> rating  free    instruction -> text

A target of LaMP or LongLaMP has its row's input as title: its task is `free`, or `rating` if the
text is a number (LaMP-3).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..nodes.state import Task
from ..stores.datasets.splits import Split, Splits, hash_of
from ..stores.types import Text
from .errors import EvaluationError
from .scores.metrics import read_rating

TASKS: tuple[Task, ...] = ("long", "short", "rating", "free")

ONE_INPUT = ("lamp", "longlamp")
"""Formats whose targets have their row's input as title."""


class NoTargets(EvaluationError):
    """A file has no target for a task."""

    code = "no_targets"


@dataclass(frozen=True)
class Target:
    """A text to be written.

    Attributes:
        data: Name of the data set.
        task: The task.
        text: The target as the store keeps it.
        request: Input of the graph.
        real: The real text; for a rating its number.
        own: Number of the user's other texts, without those on its topic.
    """

    data: str
    task: Task
    text: Text
    request: Mapping[str, Any]
    real: str
    own: int

    @cached_property
    def id(self) -> str:
        """Hash of data set, task and text, 16 hex digits."""
        parts = "\x1f".join((self.data, self.task, self.text.text_id))
        return hashlib.sha1(parts.encode()).hexdigest()[:16]

    @property
    def user(self) -> str:
        """Hash of the user's id, 12 hex digits."""
        return hash_of(self.text.user_id)[:12]

    @property
    def topic(self) -> str:
        """Hash of the topic's id, 12 hex digits."""
        return hash_of(self.text.topic_id)[:12]

    @property
    def bucket(self) -> str:
        """Bucket of the number of own texts: 0, 1 or 2+."""
        return bucket_of(self.own)


def bucket_of(own: int) -> str:
    """Return the bucket of a number of own texts: 0, 1 or 2+."""
    return str(own) if own < 2 else "2+"


def targets_of(
    data: str,
    texts: Sequence[Text],
    task: Task,
    *,
    splits: Splits,
    split: Split | None = None,
    least_own: int = 0,
    one_input: bool = False,
) -> list[Target]:
    """Return the targets of a data set, ordered by the hash of their ids.

    So the first n of them are a random sample, the same on every machine.

    Args:
        data: Name of the data set.
        texts: All texts, targets marked.
        task: The task.
        splits: Splits of the texts.
        split: Split of the targets; None: all splits.
        least_own: Minimum number of own texts on other topics.
        one_input: Whether a target's title is its row's input (see `ONE_INPUT`).

    Raises:
        NoTargets: No text fits the task and the filters.
    """
    own = _own_texts(texts)
    marked = [text for text in texts if text.target]
    asked = [(text, _asked(text, task, one_input)) for text in marked]
    found = [
        Target(data, task, text, *request, own[text.user_id] - own[text.user_id, text.topic_id])
        for text, request in asked
        if request is not None and (split is None or splits.of_user(text.user_id) == split)
    ]
    found = [target for target in found if target.own >= least_own]
    if not found:
        raise NoTargets(_say_none(data, task, marked, asked, split, least_own))
    return sorted(found, key=lambda target: target.id)


def _own_texts(texts: Iterable[Text]) -> Counter[Any]:
    """Count each user's texts that are no target, in total and by topic."""
    counts: Counter[Any] = Counter()
    for text in texts:
        if not text.target:
            counts[text.user_id] += 1
            if text.topic_id:
                counts[text.user_id, text.topic_id] += 1
    return counts


def _asked(text: Text, task: Task, one_input: bool) -> tuple[dict[str, Any], str] | None:
    """Return the request and the real text of a target; None if a field is missing."""
    request: dict[str, Any] = {
        "user_id": text.user_id,
        "task": task,
        "topic_id": text.topic_id or None,
        "language": text.language,
    }
    title, body = text.title.strip(), text.body.strip()
    words: dict[str, str | None]
    if task != "rating":
        given, real = (body, title) if task == "short" else (title, body)
        words = {{"long": "title", "short": "text", "free": "instruction"}[task]: given}
    elif one_input:
        words, real = {"text": title}, body if read_rating(body) is not None else ""
    else:
        words = {"title": title or None, "text": body}
        real = "" if text.rating is None else f"{text.rating:g}"
    if not real or not any(words.values()):
        return None
    return request | words, real


def _say_none(
    data: str,
    task: Task,
    marked: Sequence[Text],
    asked: Sequence[tuple[Text, object]],
    split: Split | None,
    least_own: int,
) -> str:
    whole = sum(request is not None for _, request in asked)
    needs = {
        "long": "a title and a text",
        "short": "a title and a text",
        "rating": "a text and a rating",
        "free": "an instruction (the row's input) and a text",
    }[task]
    if not marked:
        return f"{data} has no targets: expected a benchmark file, or texts with user and time"
    if not whole:
        return (
            f"{data} has no target for the task {task!r}: none of its {len(marked)} has {needs}; "
            "take another task by --task"
        )
    where = "" if split is None else f" in the split {split!r} (--split all takes all)"
    people = f" of people with {least_own} own texts or more (--least-own)" if least_own else ""
    return f"{data} has {whole} targets for the task {task!r}, but none{people}{where}"
