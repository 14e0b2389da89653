"""What a record may not say though its fields are of the right kinds: figures that do not fit.

for fault in check_episodes(folder): print(fault)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from .episode_schema import Episode, Sample
from .episodes import scan_episodes
from .feedback import scan_feedback
from .record_lines import DamagedLine

WITHOUT = "without:"
"""What `replays` begins with where a draft was written without a side."""


def check_episodes(
    path: Path, *, told: Callable[[Episode], None] | None = None
) -> Iterator[DamagedLine]:
    """Yield what is wrong with a shard, or with a folder's shards and its files of feedback.

    Args:
        path: A shard or a folder.
        told: Called with each record that was read.

    Raises:
        FileNotFoundError: There is nothing of that name.
    """
    seen: dict[str, str] = {}
    for read in scan_episodes(path):
        if read.episode is None:
            yield DamagedLine(read.path, read.line, read.reason)
            continue
        if told is not None:
            told(read.episode)
        faults = list(faults_of(read.episode))
        place = f"{read.path.name}:{read.line}"
        first = seen.setdefault(read.episode.run_id, place)
        if first != place:
            faults.append(f"run {read.episode.run_id} stands in {first} already")
        for fault in faults:
            yield DamagedLine(read.path, read.line, fault)
    if path.is_dir():
        yield from (line for line in scan_feedback(path) if isinstance(line, DamagedLine))


def faults_of(episode: Episode) -> Iterator[str]:
    """Yield what in a record contradicts something else in it."""
    ids = Counter(sample.id for sample in episode.samples if sample.id)
    groups = Counter(group.id for group in episode.groups)
    for kind, found in (("sample", ids), ("group", groups)):
        for name, times in found.items():
            if times > 1:
                yield f"{kind} {name}: {times} of that id"
    for sample in episode.samples:
        name = sample.id or f"{sample.node}@{sample.iteration}"
        yield from (f"sample {name}: {fault}" for fault in _faults_of_sample(sample))
        if sample.group is not None and sample.group not in groups:
            yield f"sample {name}: its group {sample.group} is not there"
        replayed = sample.replays
        if replayed is not None and not replayed.startswith(WITHOUT) and replayed not in ids:
            yield f"sample {name}: it replays {replayed}, which is not there"
    for group in episode.groups:
        if not episode.candidates(group.id):
            yield f"group {group.id}: it has no candidates"


def _faults_of_sample(sample: Sample) -> Iterator[str]:
    for name, values in (("logprobs", sample.logprobs), ("mask", sample.mask)):
        if values is None:
            continue
        tokens = None if sample.token_ids is None else len(sample.token_ids)
        if tokens is not None and len(values) != tokens:
            yield f"{len(values)} {name} for {tokens} tokens"
    if sample.error is not None and sample.reward is not None:
        yield "it failed and has a reward: what failed is no measure of anything"
    how = sample.sampling
    if sample.trainable and how is not None and (how.top_p < 1 or how.no_repeat_ngram_size):
        yield "it is called trainable, and was not drawn from the policy itself"
