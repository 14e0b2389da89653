"""What people said of runs: lines of their own beside the episodes, joined to them by `run_id`.

    give_feedback(folder, Feedback(run_id=result.run_id, accepted=True))

An episode is written once and never changed, and feedback comes hours later; so it has files of its
own, `feedback-YYYYMMDD.jsonl`, which `read_episodes` reads first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import InvalidField, StoreError
from ..files import (
    FEEDBACK,
    DamagedLine,
    append_line,
    episode_shards,
    feedback_shards,
    load_object,
    locked,
    no_object,
    read_lines,
    warn_of,
)
from .schema import Feedback

__all__ = ["EmptyFeedback", "NoSuchRun", "find_run", "give_feedback", "read_feedback"]


class EmptyFeedback(StoreError):
    """Feedback that says nothing."""


class NoSuchRun(StoreError):
    """There is no such run, or nothing is left of it."""


def give_feedback(folder: Path, feedback: Feedback, *, namespace: str | None = None) -> None:
    """Keep what somebody said of a run; it is on the disk when this returns.

    Args:
        folder: Where the run's episode is.
        feedback: What was said.
        namespace: The tenant whose run it has to be; none: any.

    Raises:
        EmptyFeedback: It has neither a verdict nor an edited text nor a rating.
        NoSuchRun: The run is not there, or has been forgotten.
        OSError: The folder cannot be read or written.
    """
    if feedback.accepted is None and feedback.edited is None and feedback.rating is None:
        raise EmptyFeedback(
            f"feedback on run {feedback.run_id} says nothing: say whether the draft was accepted, "
            "how it was edited, or how it is rated"
        )
    name = f"{FEEDBACK}{feedback.created:%Y%m%d}.jsonl"
    if not folder.is_dir():
        raise _not_there(folder, feedback.run_id)
    # Looked for under the lock: a person may be forgotten at this moment.
    with locked(folder):
        runs = (run for run in _runs(folder, feedback.run_id) if run["run_id"] == feedback.run_id)
        run = next((run for run in runs if namespace in (None, run.get("namespace"))), None)
        _check_there(run, folder, feedback.run_id)
        append_line(folder / name, feedback.model_dump_json())


def find_run(folder: Path, beginning: str) -> str:
    """Return the id of the run that begins so.

    Raises:
        NoSuchRun: None does, several do, or it has been forgotten.
        FileNotFoundError: There is no such folder.
    """
    found = {str(run["run_id"]): run for run in _runs(folder, beginning)}
    if len(found) > 1:
        raise NoSuchRun(
            f"{len(found)} runs in {folder} begin with {beginning}: name more of its id"
        )
    _check_there(next(iter(found.values()), None), folder, beginning)
    return next(iter(found))


def _check_there(run: dict[str, Any] | None, folder: Path, name: str) -> None:
    if run is None:
        raise _not_there(folder, name)
    if run.get("redacted"):
        raise NoSuchRun(f"run {name} was emptied when a person in it was forgotten: leave it")


def _not_there(folder: Path, name: str) -> NoSuchRun:
    return NoSuchRun(
        f"no run {name} in {folder}: name one that was traced there (`patlm show {folder}`)"
    )


def _runs(folder: Path, beginning: str) -> Iterator[dict[str, Any]]:
    """Yield the records whose run id begins so, the latest shards first."""
    searched = beginning.encode()
    for shard in reversed(episode_shards(folder)):
        with shard.open("rb") as file:
            for line in file:
                # Few lines are worth parsing: a record holds the tokens of all its calls.
                content = load_object(line) if searched in line else None
                if content is not None and str(content.get("run_id", "")).startswith(beginning):
                    yield content


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
        for number, line in read_lines(shard):
            yield _parse(shard, number, line)


def _parse(shard: Path, number: int, line: bytes) -> Feedback | DamagedLine:
    if load_object(line) is None:
        return no_object(shard, number, line)
    try:
        return Feedback.model_validate_json(line)
    except ValidationError as error:
        return DamagedLine(shard, number, f"no feedback: {InvalidField.of(error)}")
