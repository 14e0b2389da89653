"""Keep the records of runs: shards of JSON lines that survive being killed.

    EpisodeWriter(folder).append(episode)
    for episode in read_episodes(folder): ...

A shard holds one day, of serving (`traces-...`) or of collecting (`episodes-...`). How lines are
kept whole is in `record_lines`, how a person is forgotten in `episode_redaction`. All functions
block: in an event loop they belong in `asyncio.to_thread`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import InvalidField, StoreError
from ..files import (
    DamagedLine,
    append_line,
    episode_shards,
    load_object,
    locked,
    no_object,
    read_lines,
    warn_of,
)
from .feedback import read_feedback
from .redaction import forget_episodes
from .schema import VERSION, Episode, upgraded

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
"""What the names of shards begin with that serving writes."""

COLLECTED = "episodes"
"""What the names of shards begin with that collecting writes."""


class UnknownEpisodeVersion(StoreError):
    """A record of a schema version that this patlm does not read."""


@dataclass(frozen=True)
class ReadLine:
    """A line of a shard as it was read.

    Attributes:
        path: The shard.
        line: From 1.
        episode: The record; None where it is none.
        reason: Why it is none.
        unknown_version: Whether that is for its version alone.
    """

    path: Path
    line: int
    episode: Episode | None = None
    reason: str = ""
    unknown_version: bool = False


class EpisodeWriter:
    """Appends records to the shards of a folder; safe from any thread and process."""

    def __init__(self, folder: Path, prefix: str = SERVED) -> None:
        """Take the folder, which is made with the first record.

        Args:
            folder: Where the shards are.
            prefix: What their names begin with: `SERVED` or `COLLECTED`.
        """
        self.folder, self.prefix = folder, prefix

    def append(self, record: Episode) -> None:
        """Keep one record; it is on the disk when this returns.

        Raises:
            OSError: The folder cannot be written.
        """
        name = f"{self.prefix}-{record.created:%Y%m%d}.jsonl"
        with locked(self.folder):
            append_line(self.folder / name, record.model_dump_json())


def read_episodes(
    path: Path, *, report: Callable[[DamagedLine], None] | None = None
) -> Iterator[Episode]:
    """Yield the records of a shard, or of all shards of a folder in the order of their names.

    Feedback that lies beside them is joined to them.

    Args:
        path: A shard or a folder.
        report: Told of each line that is no record, which is passed over; by default it is
            logged as a warning.

    Raises:
        FileNotFoundError: There is nothing of that name.
        UnknownEpisodeVersion: A record is of a version that is not known here.
    """
    tell = report or warn_of
    shards = episode_shards(path)
    said = read_feedback(path, report=tell)
    for read in (read for shard in shards for read in _scan(shard)):
        if read.unknown_version:
            raise UnknownEpisodeVersion(f"{read.path}:{read.line}: {read.reason}")
        if read.episode is None:
            tell(DamagedLine(read.path, read.line, read.reason))
        elif feedback := said.get(read.episode.run_id):
            joined = (*read.episode.feedback, *feedback)
            yield read.episode.model_copy(update={"feedback": joined})
        else:
            yield read.episode


def scan_episodes(path: Path) -> Iterator[ReadLine]:
    """Yield each line of a shard, or of all shards of a folder, whether it is a record or not.

    Raises:
        FileNotFoundError: There is nothing of that name.
    """
    for shard in episode_shards(path):
        yield from _scan(shard)


def _scan(shard: Path) -> Iterator[ReadLine]:
    for number, line in read_lines(shard):
        yield _parse(shard, number, line)


def _parse(shard: Path, number: int, line: bytes) -> ReadLine:
    content = load_object(line)
    if content is None:
        return ReadLine(shard, number, reason=no_object(shard, number, line).reason)
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
        why = f"no record of version {version}: {InvalidField.of(error)}"
        return ReadLine(shard, number, reason=why)


def _validated(content: dict[str, Any], line: bytes) -> Episode:
    # Strings stand for dates and lists for tuples in JSON: validated as JSON, not as Python.
    if content["version"] == VERSION:
        return Episode.model_validate_json(line)
    return Episode.model_validate_json(json.dumps(upgraded(content)))
