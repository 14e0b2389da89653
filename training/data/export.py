"""Export episodes as a table of samples: a Hugging Face `Dataset` or a Parquet file.

    export_samples(read_episodes(folder), Path("samples.parquet"))

`prompt` and `completion` are in TRL's conversational format (messages with role and content).
Nothing is left in the library's cache: the rows are user texts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...stores.episodes.schema import Episode, Sample
from ...stores.files import make_folder, new_file
from ..errors import TrainingError
from ..trainer.quiet import quiet_training
from .samples import Skipped

if TYPE_CHECKING:
    from datasets import Dataset, Features

PARQUET = ".parquet"

_TEXT = (
    "run_id", "created", "namespace", "user_id", "task", "topic_id", "data", "target_id", "real",
    "split", "sample", "node", "role", "adapter", "model", "base", "finish_reason", "error",
    "group", "replays", "draft", "held", "sampling", "rewards", "edited",
)  # fmt: skip
_FIGURES = ("seconds", "reward", "differential", "without_value", "rating")
_FLAGS = ("exact", "trainable", "accepted")
_TOKENS = ("prompt_token_ids", "token_ids", "mask")


class ExportRefused(TrainingError):
    """Samples can't be exported to this place, or there are none."""

    code = "export_refused"


def rows_of(episode: Episode, *, role: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield one row per sample of an episode; none of a redacted one.

    Fields with varying keys (`sampling`, `rewards`, `held`) are JSON.

    Args:
        episode: The episode.
        role: Only samples of this role.
    """
    target, request = episode.target, episode.request
    about = {
        "run_id": episode.run_id,
        "created": episode.created.isoformat(),
        "namespace": episode.namespace,
        "user_id": request.get("user_id"),
        "task": request.get("task"),
        "topic_id": request.get("topic_id"),
        "data": target.data if target else None,
        "target_id": target.id if target else None,
        "real": target.real if target else None,
        "split": episode.split,
        **_said(episode),
    }
    groups = {group.id: group for group in episode.groups}
    for sample in episode.samples:
        if role is not None and sample.role != role:
            continue
        group = groups.get(sample.group or "")
        yield {
            **about,
            **_row(sample),
            "held": None if group is None else _json(dict(group.held)),
            "without_value": None if group is None else group.without_value,
        }


def export_samples(
    episodes: Iterable[Episode],
    to: Path,
    *,
    role: str | None = None,
    skipped: Skipped | None = None,
) -> int:
    """Write all samples as a table and return their number.

    Args:
        episodes: The episodes; held in memory as a whole.
        to: A file that ends in `.parquet`, or a folder for `Dataset.load_from_disk`; it must not
            exist.
        role: Only samples of this role.
        skipped: Counts the records without a row: `redacted`, or `no_samples` (of the role).

    Raises:
        ExportRefused: The path exists, there are no samples, or the package `datasets` is missing.
        OSError: It can't be written.
    """
    if to.exists():
        raise ExportRefused(
            f"{to} already exists: name a new file or folder", code="already_exists"
        )
    rows: list[dict[str, Any]] = []
    without = Skipped() if skipped is None else skipped
    for episode in episodes:
        found = list(rows_of(episode, role=role))
        rows += found
        if not found:
            without["no_samples" if episode.redacted is None else "redacted"] += 1
    if not rows:
        raise ExportRefused(
            f"no samples{f' of {role}' if role else ''}: there is nothing to export",
            code="no_samples",
        )
    dataset = _dataset(rows)
    make_folder(to.parent)
    draft = to.with_name(f".{to.name}.tmp")  # renamed when complete
    try:
        with quiet_training():
            if to.suffix == PARQUET:
                dataset.to_parquet(str(new_file(draft)))
            else:
                dataset.save_to_disk(str(make_folder(draft)))
        draft.rename(to)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
        draft.unlink(missing_ok=True)
    return len(rows)


def _row(sample: Sample) -> dict[str, Any]:
    same = ("node", "iteration", "role", "adapter", "model", "base", "finish_reason", "seconds",
            "error", "group", "trainable", "replays", "draft", "reward", "differential",
            "prompt_token_ids", "token_ids", "logprobs", "mask")  # fmt: skip
    turns = [message.model_dump() for message in sample.messages]
    answer = [] if sample.text is None else [{"role": "assistant", "content": sample.text}]
    return {
        **{name: vars(sample)[name] for name in same},
        "sample": sample.id,
        "exact": sample.exact,
        "prompt": turns,
        "completion": answer,
        "sampling": None if sample.sampling is None else sample.sampling.model_dump_json(),
        "rewards": _json(dict(sample.rewards)) if sample.rewards else None,
    }


def _said(episode: Episode) -> dict[str, Any]:
    """Return the latest feedback of each kind on a run."""
    said: dict[str, Any] = {"accepted": None, "edited": None, "rating": None}
    for feedback in episode.feedback:
        given = feedback.model_dump(include=set(said), exclude_none=True)
        said |= given
    return said


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _dataset(rows: list[dict[str, Any]]) -> Dataset:
    try:
        from datasets import Dataset
    except ImportError as error:
        raise ExportRefused(
            "the package datasets is missing: pip install 'patlm[train]'"
        ) from error
    return Dataset.from_list(rows, features=_features())


def _features() -> Features:
    from datasets import Features, List, Value

    turn = {"role": Value("string"), "content": Value("string")}
    kinds: dict[str, Any] = {
        **dict.fromkeys(_TEXT, Value("string")),
        **dict.fromkeys(_FIGURES, Value("float64")),
        **dict.fromkeys(_FLAGS, Value("bool")),
        **dict.fromkeys(_TOKENS, List(Value("int32"))),
        "iteration": Value("int32"),
        "logprobs": List(Value("float32")),
        "prompt": List(turn),
        "completion": List(turn),
    }
    return Features(kinds)
