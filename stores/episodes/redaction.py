"""Redact the episodes and the feedback of a forgotten user.

The user's texts occur in a record's prompts, and drafts derive from them. So a record that contains
any of them is emptied entirely, including other people's texts. The empty record stays in place:
shards stay valid, the number of records does not change, and a lookup finds the run redacted
instead of missing.
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
    """Empty all records of a namespace that contain data of a user.

    Those are the user's own requests and the runs with a text of the user in their evidence.
    Feedback on these runs is removed. Files are replaced atomically, so no old bytes remain.
    Damaged lines are removed too, since their content is unknown; they are not counted.

    Args:
        folder: Folder of the shards; a missing folder counts as empty.
        namespace: The tenant.
        user_id: The user to forget.
        dry_run: Only count.

    Returns:
        The number of emptied records.

    Raises:
        OSError: The folder can't be written; the remaining records are unchanged, and another call
            resumes.
    """
    if not folder.is_dir():
        return 0
    with locked(folder):
        found = [_scan(shard, namespace, user_id) for shard in episode_shards(folder)]
        if not dry_run:
            remove_unfinished(folder)
            # Feedback first: after a crash in between, the records still name the user.
            _forget_feedback(folder, {run for each in found for run in (*each.runs, *each.emptied)})
            for each in found:
                if each.runs or each.damaged:
                    write_atomic(each.shard, _lines_left(each.shard, namespace, user_id))
        return sum(len(each.runs) for each in found)


@dataclass(frozen=True)
class _Found:
    """The runs of a shard to empty, those emptied before, and whether it has damaged lines."""

    shard: Path
    runs: list[str]
    emptied: list[str]
    damaged: bool


def _scan(shard: Path, namespace: str, user_id: str) -> _Found:
    runs, emptied, damaged = [], [], False
    with shard.open("rb") as file:
        for line in file:
            content = load_object(line)
            if content is None:
                damaged = True
            elif _concerns(content, namespace, user_id):
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
            if _concerns(content, namespace, user_id):
                yield _emptied(content)
            else:
                yield line if line.endswith(b"\n") else line + b"\n"


def _concerns(content: dict[str, Any], namespace: str, user_id: str) -> bool:
    return content.get("namespace") == namespace and _names(content, user_id)


def _names(content: object, user_id: str) -> bool:
    """Return whether any `user_id` in a record is this one, at any depth and in any version."""
    if isinstance(content, dict):
        if content.get("user_id") == user_id:
            return True
        return any(_names(value, user_id) for value in content.values())
    return isinstance(content, list) and any(_names(value, user_id) for value in content)


def _emptied(content: dict[str, Any]) -> bytes:
    """Return the line of a record reduced to its identity."""
    place = {name: content[name] for name in _KEPT if isinstance(content.get(name), str | int)}
    emptied = {**place, "redacted": datetime.now(UTC).isoformat(), "request": {}}
    return json.dumps(emptied).encode() + b"\n"


def _forget_feedback(folder: Path, runs: set[str]) -> None:
    """Remove the feedback on runs, and damaged lines."""
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
