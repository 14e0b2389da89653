"""Write and read people's feedback on runs.

    give_feedback(folder, Feedback(run_id=result.run_id, accepted=True))

An episode is never changed once written, and feedback arrives later; so feedback has its own files,
`feedback-YYYYMMDD.jsonl`, which `read_episodes` joins to the episodes by `run_id`.
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
    below,
    episode_shards,
    feedback_shards,
    load_object,
    locked,
    log_damaged,
    not_an_object,
    read_lines,
)
from .schema import Feedback

__all__ = ["EmptyFeedback", "NoSuchRun", "find_run", "give_feedback", "read_feedback"]


class EmptyFeedback(StoreError):
    """Feedback without any content."""

    code = "empty_feedback"


class NoSuchRun(StoreError):
    """A run that does not exist, or that was redacted."""

    code = "no_such_run"


def give_feedback(
    folder: Path, feedback: Feedback, *, namespace: str | None = None
) -> dict[str, Any]:
    """Append feedback on a run and sync it to disk; return the run's record.

    Args:
        folder: Folder of the run's episode.
        feedback: The feedback.
        namespace: Tenant that the run must belong to; None for any.

    Raises:
        EmptyFeedback: The feedback has no verdict, no edited text and no rating.
        NoSuchRun: The run does not exist or was redacted.
        OSError: The folder can't be read or written.
    """
    if feedback.accepted is None and feedback.edited is None and feedback.rating is None:
        raise EmptyFeedback(
            f"feedback on run {feedback.run_id} says nothing: say whether the draft was accepted, "
            "how it was edited, or how it is rated"
        )
    name = f"{FEEDBACK}{feedback.created:%Y%m%d}.jsonl"
    if not folder.is_dir():
        raise _no_such_run(folder, feedback.run_id)
    # Searched under the lock: the run may be redacted concurrently.
    with locked(folder):
        run = read_run(folder, feedback.run_id, namespace=namespace)
        append_line(below(folder, name), feedback.model_dump_json())
    return run


def read_run(folder: Path, run_id: str, *, namespace: str | None = None) -> dict[str, Any]:
    """Return the record of a run as it is in the file.

    Args:
        folder: Folder of the run's episode.
        run_id: Its id.
        namespace: Tenant that the run must belong to; None for any.

    Raises:
        NoSuchRun: The run does not exist or was redacted.
    """
    if not folder.is_dir():  # as long as no run was recorded there
        raise _no_such_run(folder, run_id)
    runs = (run for run in _runs(folder, run_id) if run["run_id"] == run_id)
    run = next((run for run in runs if namespace in (None, run.get("namespace"))), None)
    return _require_run(run, folder, run_id)


def find_run(folder: Path, prefix: str) -> str:
    """Return the only run id with this prefix.

    Raises:
        NoSuchRun: No run or several runs match, or the run was redacted.
        FileNotFoundError: The folder does not exist.
    """
    found = {str(run["run_id"]): run for run in _runs(folder, prefix)}
    if len(found) > 1:
        raise NoSuchRun(
            f"{len(found)} runs in {folder} begin with {prefix}: give more of the id",
            code="ambiguous_run",
        )
    _require_run(next(iter(found.values()), None), folder, prefix)
    return next(iter(found))


def _require_run(run: dict[str, Any] | None, folder: Path, name: str) -> dict[str, Any]:
    if run is None:
        raise _no_such_run(folder, name)
    if run.get("redacted"):
        raise NoSuchRun(
            f"run {name} was emptied when a person in it was forgotten: it takes no feedback",
            code="emptied_run",
        )
    return run


def _no_such_run(folder: Path, name: str) -> NoSuchRun:
    return NoSuchRun(
        f"no run {name} in {folder}: name one that was traced there (`patlm show {folder}`)"
    )


def _runs(folder: Path, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the records whose run id has this prefix, the latest shards first."""
    searched = prefix.encode()
    for shard in reversed(episode_shards(folder)):
        with shard.open("rb") as file:
            for line in file:
                # Parse matching lines only: a record holds the tokens of all its calls.
                content = load_object(line) if searched in line else None
                if content is not None and str(content.get("run_id", "")).startswith(prefix):
                    yield content


def read_feedback(
    path: Path, *, report: Callable[[DamagedLine], None] = log_damaged
) -> dict[str, tuple[Feedback, ...]]:
    """Return the feedback in a folder, or in a shard's folder, by run and in order.

    Args:
        path: A folder or a shard.
        report: Called with each damaged line, which is skipped; by default it is logged.
    """
    found: dict[str, tuple[Feedback, ...]] = {}
    for line in scan_feedback(path):
        if isinstance(line, DamagedLine):
            report(line)
        else:
            found[line.run_id] = (*found.get(line.run_id, ()), line)
    return found


def scan_feedback(path: Path) -> Iterator[Feedback | DamagedLine]:
    """Yield each line of the feedback files in a folder, or in a shard's folder."""
    for shard in feedback_shards(path):
        for number, line in read_lines(shard):
            yield _parse(shard, number, line)


def _parse(shard: Path, number: int, line: bytes) -> Feedback | DamagedLine:
    if load_object(line) is None:
        return not_an_object(shard, number, line)
    try:
        return Feedback.model_validate_json(line)
    except ValidationError as error:
        return DamagedLine(shard, number, f"not valid feedback: {InvalidField.of(error)}")
