"""Redact the episodes and the feedback of a forgotten user, or those with a removed text.

The texts occur in a record's prompts, and drafts derive from them. So a record that contains any of
them is emptied entirely, including other people's texts. The empty record stays in place:
shards stay valid, the number of records does not change, and a lookup finds the run redacted
instead of missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
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
from ..forgotten import Notes, keys_in, recorded_user

_KEPT = ("version", "run_id", "created", "namespace")


@dataclass(frozen=True)
class RemovedTexts:
    """Single texts of a user that were removed.

    Attributes:
        text_ids: Their ids, by which evidence names them.
        bodies: Their bodies, which requests, targets and edited drafts of the user may repeat.
    """

    text_ids: Collection[str]
    bodies: Collection[str] = ()


def forget_episodes(
    folder: Path,
    namespace: str,
    user_id: str,
    *,
    texts: RemovedTexts | None = None,
    has_words: Callable[[object], bool] | None = None,
    keeps_own: bool = False,
    dry_run: bool = False,
) -> int:
    """Empty all records of a namespace that contain data of a user.

    Those are the user's own requests and the runs with a text of the user in their evidence; where
    only some texts are removed, the runs that read one of them, and the user's own requests that
    repeat one. Feedback on these runs is removed. Files are replaced atomically, so no old bytes
    remain. Damaged lines are removed too, since their content is unknown; they are not counted.

    Args:
        folder: Folder of the shards; a missing folder counts as empty.
        namespace: The tenant.
        user_id: The user to forget.
        texts: The texts to remove; None: everything of the user.
        has_words: Says whether a record has words of the texts, whoever is named in it.
        keeps_own: Whether the user's own runs stay as they are.
        dry_run: Only count.

    Returns:
        The number of emptied records.

    Raises:
        OSError: The folder can't be written; the remaining records are unchanged, and another call
            resumes.
    """
    if not folder.is_dir():
        return 0
    with nullcontext() if dry_run else locked(folder):
        sought = _Sought.of(folder, namespace, user_id, texts)
        sought = replace(sought, has_words=has_words, keeps_own=keeps_own)
        found = [_scan(shard, sought) for shard in episode_shards(folder)]
        if not dry_run:
            remove_unfinished(folder)
            # Feedback first: after a crash in between, the records still name the user.
            runs = {run for each in found for run in (*each.runs, *each.emptied)}
            _forget_feedback(folder, runs)
            for each in found:
                if each.runs or each.damaged:
                    write_atomic(each.shard, _lines_left(each.shard, sought))
        return sum(len(each.runs) for each in found)


@dataclass(frozen=True)
class _Sought:
    """What a record must contain to be emptied.

    Attributes:
        namespace: The tenant.
        user_id: The user.
        text_ids: Evidence of the user with one of these ids; None: anything that names the user.
        bodies: What a request of the user must not repeat.
        edited: Runs whose edited draft is one of the bodies.
        has_words: Says whether a record has words of the texts.
        keeps_own: Whether the user's own runs stay.
    """

    namespace: str
    user_id: str
    text_ids: frozenset[str] | None = None
    bodies: frozenset[str] = frozenset()
    edited: frozenset[str] = frozenset()
    has_words: Callable[[object], bool] | None = None
    keeps_own: bool = False

    @classmethod
    def of(cls, folder: Path, namespace: str, user_id: str, texts: RemovedTexts | None) -> _Sought:
        if texts is None:
            return cls(namespace, user_id)
        bodies = frozenset(body.strip() for body in texts.bodies)
        edited = frozenset(_runs_edited_to(folder, bodies))
        return cls(namespace, user_id, frozenset(texts.text_ids), bodies, edited)

    def concerns(self, content: dict[str, Any]) -> bool:
        """Return whether a record has to be emptied."""
        # A record without a namespace, made by hand, may be of any: it is not passed over.
        if content.get("namespace", self.namespace) != self.namespace:
            return False
        if self.keeps_own and self._is_own(content):
            return False
        if self._names(content) or (self.text_ids is not None and self._repeats(content)):
            return True
        if self.has_words is None or not self.has_words(content):
            return False
        # What another user asked for is that user's own words.
        return self._is_own(content) or not self.has_words(content.get("request"))

    def _is_own(self, content: dict[str, Any]) -> bool:
        request = content.get("request")
        return isinstance(request, dict) and recorded_user(request.get("user_id")) == self.user_id

    def _names(self, content: object) -> bool:
        """Return whether the user, or one of the texts, occurs at any depth, in any version."""
        if isinstance(content, dict):
            if recorded_user(content.get("user_id")) == self.user_id and (
                self.text_ids is None or content.get("text_id") in self.text_ids
            ):
                return True
            return any(self._names(value) for value in content.values())
        return isinstance(content, list) and any(self._names(value) for value in content)

    def _repeats(self, content: dict[str, Any]) -> bool:
        """Return whether the user's own run has one of the bodies as request, target or edit."""
        if not self._is_own(content):
            return False
        request, target = content["request"], content.get("target")
        said = [*request.values(), target.get("real") if isinstance(target, dict) else None]
        words = {value.strip() for value in said if isinstance(value, str)}
        return not words.isdisjoint(self.bodies) or content.get("run_id") in self.edited


def _runs_edited_to(folder: Path, bodies: Collection[str]) -> Iterator[str]:
    for line in _feedback_lines(folder):
        content = load_object(line) or {}
        if str(content.get("edited", "")).strip() in bodies:
            yield str(content.get("run_id"))


def _feedback_lines(folder: Path) -> Iterable[bytes]:
    for shard in feedback_shards(folder):
        with shard.open("rb") as file:
            yield from file


@dataclass(frozen=True)
class _Found:
    """The runs of a shard to empty, those emptied before, and whether it has damaged lines."""

    shard: Path
    runs: list[str]
    emptied: list[str]
    damaged: bool


def _scan(shard: Path, sought: _Sought) -> _Found:
    runs, emptied, damaged = [], [], False
    with shard.open("rb") as file:
        for line in file:
            content = load_object(line)
            if content is None:
                damaged = True
            elif sought.concerns(content):
                runs.append(str(content.get("run_id")))
            elif content.get("redacted"):
                emptied.append(str(content.get("run_id")))
    return _Found(shard, runs, emptied, damaged)


def _lines_left(shard: Path, sought: _Sought) -> Iterator[bytes]:
    with shard.open("rb") as file:
        for line in file:
            content = load_object(line)
            if content is None:
                continue
            if sought.concerns(content):
                yield _emptied(content)
            else:
                yield line if line.endswith(b"\n") else line + b"\n"


def less_forgotten(line: str, began: datetime, notes: Notes) -> str:
    """Return the line of a new record, emptied if it has what was forgotten since the run began.

    Args:
        line: The record.
        began: Start of the run.
        notes: What was forgotten, of the store that the run read.
    """
    gone = notes.since(int(began.timestamp() * 1e6)) | notes.unfinished
    if not gone:
        return line
    content = load_object(line.encode()) or {}
    return line if gone.isdisjoint(keys_in(content)) else _emptied(content).decode().strip()


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
