"""Read and write shards of episodes: crash-safe JSONL files.

    EpisodeWriter(folder).append(episode)
    for episode in read_episodes(folder): ...

A shard holds one day of serving (`traces-...`) or of collecting (`episodes-...`). All functions
block: call them through `asyncio.to_thread` in an event loop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..errors import InvalidField, StoreError
from ..files import (
    DamagedLine,
    append_line,
    below,
    episode_shards,
    load_object,
    locked,
    log_damaged,
    not_an_object,
    read_lines,
)
from .feedback import read_feedback
from .redaction import forget_episodes, less_forgotten
from .schema import VERSION, Episode, upgraded

if TYPE_CHECKING:
    from ..forgotten import Notes

__all__ = [
    "COLLECTED",
    "SERVED",
    "DamagedLine",
    "Episode",
    "EpisodeWriter",
    "ReadLine",
    "UnknownEpisodeVersion",
    "forget_episodes",
    "read_episodes",
    "scan_episodes",
]

SERVED = "traces"
"""File name prefix of shards written by serving."""

COLLECTED = "episodes"
"""File name prefix of shards written by collecting."""


class UnknownEpisodeVersion(StoreError):
    """A record of a schema version that this patlm can't read."""

    code = "episode_version"


@dataclass(frozen=True)
class ReadLine:
    """A line of a shard, parsed.

    Attributes:
        path: The shard.
        line: Line number, from 1.
        episode: The record; None if the line is not a valid record.
        reason: Why the line is not valid.
        unknown_version: Whether the reason is an unknown schema version.
    """

    path: Path
    line: int
    episode: Episode | None = None
    reason: str = ""
    unknown_version: bool = False


class EpisodeWriter:
    """Appends records to the shards of a folder; safe from any thread and process."""

    def __init__(
        self,
        folder: Path,
        prefix: str = SERVED,
        *,
        forgotten: Callable[[], Notes] | None = None,
    ) -> None:
        """Initialise the writer; the first record creates the folder.

        Args:
            folder: Folder of the shards.
            prefix: File name prefix, `SERVED` or `COLLECTED`.
            forgotten: Returns the notes of the store that the runs read; may block. The record of
                a run with somebody, or a text, that was forgotten since it began is kept empty.
        """
        self.folder, self.prefix, self._forgotten = folder, prefix, forgotten

    def append(self, record: Episode) -> None:
        """Append a record and sync it to disk.

        Raises:
            OSError: The folder can't be written.
            StoreError: The notes of what was forgotten can't be read, or the shard is a link that
                leads elsewhere; nothing is written.
        """
        name = f"{self.prefix}-{record.created:%Y%m%d}.jsonl"
        # Under the lock: `forget` empties the records before or after, and its note comes first.
        with locked(self.folder):
            line = record.model_dump_json()
            if self._forgotten is not None:
                line = less_forgotten(line, record.created, self._forgotten())
            append_line(below(self.folder, name), line)


def read_episodes(
    path: Path, *, report: Callable[[DamagedLine], None] | None = None
) -> Iterator[Episode]:
    """Yield the records of a shard, or of all shards of a folder in the order of their names.

    Feedback in the same folder is joined to the records.

    Args:
        path: A shard or a folder.
        report: Called with each damaged line, which is skipped; by default it is logged as a
            warning.

    Raises:
        FileNotFoundError: The path does not exist.
        UnknownEpisodeVersion: A record has an unknown schema version.
    """
    report = report or log_damaged
    shards = episode_shards(path)
    feedback_by_run = read_feedback(path, report=report)
    for read in (read for shard in shards for read in _scan(shard)):
        if read.unknown_version:
            raise UnknownEpisodeVersion(f"{read.path}:{read.line}: {read.reason}")
        if read.episode is None:
            report(DamagedLine(read.path, read.line, read.reason))
        elif feedback := feedback_by_run.get(read.episode.run_id):
            joined = (*read.episode.feedback, *feedback)
            yield read.episode.model_copy(update={"feedback": joined})
        else:
            yield read.episode


def scan_episodes(path: Path) -> Iterator[ReadLine]:
    """Yield each line of a shard, or of all shards of a folder, valid or not.

    Raises:
        FileNotFoundError: The path does not exist.
    """
    for shard in episode_shards(path):
        yield from _scan(shard)


def _scan(shard: Path) -> Iterator[ReadLine]:
    for number, line in read_lines(shard):
        yield _parse(shard, number, line)


def _parse(shard: Path, number: int, line: bytes) -> ReadLine:
    content = load_object(line)
    if content is None:
        return ReadLine(shard, number, reason=not_an_object(shard, number, line).reason)
    version = content.get("version")
    if version not in (1, VERSION):
        why = (
            f"expected a record of version 1 or {VERSION}, got {version!r}: read it with the "
            "patlm that wrote it, or with a newer one"
        )
        return ReadLine(shard, number, reason=why, unknown_version=True)
    try:
        return ReadLine(shard, number, _validated(content, line))
    except ValidationError as error:
        why = f"not a valid record of version {version}: {InvalidField.of(error)}"
        return ReadLine(shard, number, reason=why)


def _validated(content: dict[str, Any], line: bytes) -> Episode:
    # Validated as JSON, not as Python objects: JSON has strings for dates and lists for tuples.
    if content["version"] == VERSION:
        return Episode.model_validate_json(line)
    return Episode.model_validate_json(json.dumps(upgraded(content)))
