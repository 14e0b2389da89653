"""What people said of runs: lines of their own beside the episodes, joined to them by `run_id`.

    append_feedback(folder, Feedback(run_id=result.run_id, accepted=True))

An episode is written once and never changed, and feedback comes hours later; so it has files of its
own, `feedback-YYYYMMDD.jsonl`, which `read_episodes` reads first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from .episode_schema import Feedback
from .errors import StoreError
from .record_lines import (
    FEEDBACK,
    DamagedLine,
    append_line,
    feedback_shards,
    load_object,
    no_object,
    warn_of,
)

__all__ = ["EmptyFeedback", "append_feedback", "read_feedback"]


class EmptyFeedback(StoreError):
    """Feedback that says nothing."""


def append_feedback(folder: Path, feedback: Feedback) -> None:
    """Keep what somebody said of a run; it is on the disk when this returns.

    Args:
        folder: Where the run's episode is.
        feedback: What was said. Whether the run is there is the caller's to know.

    Raises:
        EmptyFeedback: It has neither a verdict nor an edited text nor a rating.
        OSError: The folder cannot be written.
    """
    if feedback.accepted is None and feedback.edited is None and feedback.rating is None:
        raise EmptyFeedback(
            f"feedback on run {feedback.run_id} says nothing: say whether the draft was accepted, "
            "how it was edited, or how it is rated"
        )
    name = f"{FEEDBACK}{feedback.created:%Y%m%d}.jsonl"
    append_line(folder / name, feedback.model_dump_json())


def read_feedback(
    path: Path, *, report: Callable[[DamagedLine], None] = warn_of
) -> dict[str, tuple[Feedback, ...]]:
    """Return the feedback of a folder, or that beside a shard, by run, in the order it was given.

    Args:
        path: A folder or a shard.
        report: Told of each line that is none, which is passed over; by default it is logged.
    """
    found: dict[str, tuple[Feedback, ...]] = {}
    for line in scan_feedback(path):
        if isinstance(line, DamagedLine):
            report(line)
        else:
            found[line.run_id] = (*found.get(line.run_id, ()), line)
    return found


def scan_feedback(path: Path) -> Iterator[Feedback | DamagedLine]:
    """Yield each line of the files of feedback in a folder, or beside a shard."""
    for shard in feedback_shards(path):
        with shard.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _parse(shard, number, line)


def _parse(shard: Path, number: int, line: bytes) -> Feedback | DamagedLine:
    if load_object(line) is None:
        return no_object(shard, number, line)
    try:
        return Feedback.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return DamagedLine(shard, number, f"no feedback: {place}: {first['msg']}")
