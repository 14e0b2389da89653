"""Crash-safe JSON lines of per-target results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..stores.files import append_line, read_lines
from .errors import EvaluationError

VERSION = 1


class ItemsLost(EvaluationError):
    """An item can't be written; all before it are kept."""


class ItemKey(NamedTuple):
    """Key of an item.

    Attributes:
        target: `Target.id`.
        arm: Name of the configuration or floor.
        made_of: Hash of everything else that determines the result.
        history: Own texts that were known, as asked for: `all` or a number.
        seed: Random seed.
    """

    target: str
    arm: str
    made_of: str
    history: str
    seed: int


@dataclass(frozen=True)
class Item:
    """Result of one target in one arm.

    Attributes:
        data: Name of the data set.
        task: What was to be written.
        user: Hash of the user's id.
        topic: Hash of the topic's id.
        own: Own texts that were known.
        failed: Error message where there is no draft, else None.
        draft: What was written.
        metrics: By name; one without a value, such as the error of an answer that is no rating, is
            left out.
        summaries: By side.
        evidence: Ids and scores of each side's evidence, best first.
        own_read: Ids of the own texts that were read.
        cold_start: zero, few or known.
        pool_size: By side.
        cut_share: Share of the prompts' texts that was cut.
        iterations: Rounds that were run.
        stop_reason: Why the loop ended.
        calls: How many calls of a model it took.
        leaks: Number of runs of the real text in prompts: those that no other user wrote, and the
            others; None where the real text is too short.
    """

    key: ItemKey
    data: str
    task: str
    user: str
    topic: str
    own: int
    failed: str | None = None
    draft: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    summaries: Mapping[str, str | None] = field(default_factory=dict)
    evidence: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    own_read: Sequence[str] = ()
    cold_start: str = "zero"
    pool_size: Mapping[str, int] = field(default_factory=dict)
    cut_share: float | None = None
    iterations: int = 0
    stop_reason: str = ""
    calls: int = 0
    leaks: tuple[int, int] | None = None


class ItemFile:
    """Items in a file of JSON lines; the later of two with one key counts.

    A line torn by a kill stays and is skipped; the next item begins on a line of its own.

    Args:
        file: Made with the first item.

    Attributes:
        items: What is there, by key. Failed ones are not among them: they are tried again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.items: dict[ItemKey, Item] = {}
        if file.exists():
            self._read()

    def append(self, item: Item) -> None:
        """Keep an item; it survives a kill of the process when this returns.

        Raises:
            ItemsLost: It can't be written.
        """
        fields = {"version": VERSION, **asdict(item), "key": item.key._asdict()}
        try:
            append_line(self._file, json.dumps(fields), sync=False)
        except OSError as error:
            raise ItemsLost(
                f"{self._file} can't be written: {error.strerror or error}; make room and run "
                f"again: the {len(self.items)} items before are kept"
            ) from error
        if item.failed is None:
            self.items[item.key] = item

    def _read(self) -> None:
        for _, line in read_lines(self._file):
            item = read_item(line)
            if item is not None and item.failed is None:
                self.items[item.key] = item


def read_item(line: bytes) -> Item | None:
    """Return the item of a line; None for a torn one, or one of another version."""
    try:
        fields: dict[str, Any] = json.loads(line)
        if fields.pop("version") != VERSION:
            return None
        fields["key"] = ItemKey(**fields["key"])
        fields["evidence"] = {
            side: [(text_id, score) for text_id, score in found]
            for side, found in fields["evidence"].items()
        }
        fields["own_read"] = tuple(fields["own_read"])
        if fields["leaks"] is not None:
            fields["leaks"] = tuple(fields["leaks"])
        return Item(**fields)
    except (ValueError, KeyError, TypeError):
        return None
