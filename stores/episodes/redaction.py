"""Forget a person in the records of runs: what held something of theirs is emptied in place.

A record is a whole: the texts of the person stand in its prompts, and drafts are made of them. So
a record that concerns them is emptied as a whole, other people's words with it; its place stays,
so that shards stay valid, the number of records stays what it was, and a run that is looked for is
found to be redacted, not lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..files import (
    episode_shards,
    feedback_shards,
    load_object,
    locked,
    remove_unfinished,
    write_atomic,
)

_KEPT = ("version", "run_id", "created", "namespace")


def forget_episodes(folder: Path, namespace: str, user_id: str, *, dry_run: bool = False) -> int:
    """Empty all records of a namespace that hold something of a user.

    Those are the user's own requests and the runs in whose evidence a text of the user's stands.
    Feedback on such runs is removed. Files are replaced as wholes, the old bytes with them. Lines
    that are no records are removed as well, for nobody can tell what they hold; they are not
    counted.

    Args:
        folder: Where the shards are; one that does not exist holds nothing.
        namespace: The tenant.
        user_id: Whom to forget.
        dry_run: Only count.

    Returns:
        The number of records.

    Raises:
        OSError: The folder cannot be written; what was not emptied is whole, and calling this again
            goes on.
    """
    if not folder.is_dir():
        return 0
    with locked(folder):
        found = [_look(shard, namespace, user_id) for shard in episode_shards(folder)]
        if not dry_run:
            remove_unfinished(folder)
            # Feedback first: where this is killed in between, the records still name the user.
            _forget_feedback(folder, {run for each in found for run in (*each.runs, *each.emptied)})
            for each in found:
                if each.runs or each.damaged:
                    write_atomic(each.shard, _lines_left(each.shard, namespace, user_id))
        return sum(len(each.runs) for each in found)


@dataclass(frozen=True)
class _Found:
    """What stands in a shard: the runs that have to go, those that went before, torn lines."""

    shard: Path
    runs: list[str]
    emptied: list[str]
    damaged: bool


def _look(shard: Path, namespace: str, user_id: str) -> _Found:
    runs, emptied, damaged = [], [], False
    with shard.open("rb") as file:
        for line in file:
            content = load_object(line)
            if content is None:
                damaged = True
            elif _goes(content, namespace, user_id):
                runs.append(str(content.get("run_id")))
            elif content.get("redacted"):
                emptied.append(str(content.get("run_id")))
    return _Found(shard, runs, emptied, damaged)


def _lines_left(shard: Path, namespace: str, user_id: str) -> Iterator[bytes]:
    with shard.open("rb") as file:
        for line in file:
            content = load_object(line)
            if content is None:
                continue
            if _goes(content, namespace, user_id):
                yield _emptied(content)
            else:
                yield line if line.endswith(b"\n") else line + b"\n"


def _goes(content: dict[str, Any], namespace: str, user_id: str) -> bool:
    return content.get("namespace") == namespace and _names(content, user_id)


def _names(content: object, user_id: str) -> bool:
    """Say whether any `user_id` in a record is this one, at whatever depth and version."""
    if isinstance(content, dict):
        if content.get("user_id") == user_id:
            return True
        return any(_names(value, user_id) for value in content.values())
    return isinstance(content, list) and any(_names(value, user_id) for value in content)


def _emptied(content: dict[str, Any]) -> bytes:
    """Return the line of a record of which nothing is left but that it was there."""
    place = {name: content[name] for name in _KEPT if isinstance(content.get(name), str | int)}
    emptied = {**place, "redacted": datetime.now(UTC).isoformat(), "request": {}}
    return json.dumps(emptied).encode() + b"\n"


def _forget_feedback(folder: Path, runs: set[str]) -> None:
    """Remove feedback on runs, and lines that are none."""
    for shard in feedback_shards(folder):
        with shard.open("rb") as file:
            lines = file.readlines()
        kept = [
            line
            for line in lines
            if (content := load_object(line)) is not None and content.get("run_id") not in runs
        ]
        if len(kept) == len(lines):
            continue
        if kept:
            write_atomic(shard, kept)
        else:
            shard.unlink()
