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
    """An item can't be written; earlier items are not lost."""

    code = "items_lost"


class ItemKey(NamedTuple):
    """Key of an item.

    Attributes:
        target: `Target.id`.
        arm: Name of the configuration or floor.
        made_of: Hash of everything else that determines the result.
        history: Requested maximum of own texts: `all` or a number.
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
        task: The task.
        user: Hash of the user's id.
        topic: Hash of the topic's id.
        own: Number of available own texts.
        failed: Error message if there is no draft, else None.
        draft: The draft.
        metrics: Values by name; metrics without a value, such as the error of an answer that is no
            rating, are left out.
        summaries: Summary by side.
        evidence: Ids and scores of each side's evidence, best first.
        own_read: Ids of the own texts that were read.
        cold_start: zero, few or known.
        pool_size: Number of candidates by side.
        cut_share: Share of the prompts' texts that was cut.
        iterations: Number of iterations.
        stop_reason: Why the loop stopped.
        calls: Number of model calls.
        leaks: Number of runs of the real text in prompts: those that no other user wrote, and the
            others; None if the real text is too short.
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
    """Items in a JSON Lines file; a later item replaces an earlier one with the same key.

    A line torn by a kill is skipped; the next item starts on a new line.

    Args:
        file: Created with the first item.

    Attributes:
        items: Items by key, without failed ones, which are retried.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.items: dict[ItemKey, Item] = {}
        if file.exists():
            self._read()

    def append(self, item: Item) -> None:
        """Append an item; it survives a kill of the process once this returns.

        Raises:
            ItemsLost: The item can't be written.
        """
        fields = {"version": VERSION, **asdict(item), "key": item.key._asdict()}
        try:
            append_line(self._file, json.dumps(fields), sync=False)
        except OSError as error:
            raise ItemsLost(
                f"{self._file} can't be written: {error.strerror or error}; make room and run "
                f"again: the {len(self.items)} earlier items are saved"
            ) from error
        if item.failed is None:
            self.items[item.key] = item

    def _read(self) -> None:
        for _, line in read_lines(self._file):
            item = read_item(line)
            if item is not None and item.failed is None:
                self.items[item.key] = item


def read_item(line: bytes) -> Item | None:
    """Parse an item; None for a torn line or another version."""
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
