"""Build examples of a warm start: prompts and the answers to learn.

integrate learns the genre from real texts: its prompt is built from the request and the summaries
of the run, its answer is the real text. Each side is left out of a third of the examples, by the
hash of the target, so that the model learns to write from whatever is available.

A reasoner learns from the better of two teachers: its own best candidate of each context, or the
extractive summary. The teacher is the kind whose summaries have the higher mean differential reward
over the contexts that have both; it teaches in the contexts in which it helps. *All* own candidates
count for that mean, not only the best: the best of four was chosen with the real text, which no
reasoner has when it writes, so it gains more than can be learnt. If even the better teacher does
not help on average, the contexts in which it does not help teach to abstain.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ...nodes.budget import BUDGETS, Budget, Count
from ...nodes.dependencies import Parts
from ...nodes.integrate import drafting
from ...nodes.node import Turn
from ...nodes.prompts.build import ABSTENTION, REASONERS, Prompt
from ...nodes.state import Request, RunContext
from ...stores.episodes.schema import EXTRACTIVE, Episode, Group, IterationRecord, Sample
from ..errors import EpisodesUnfit
from .samples import (
    Needs,
    Skipped,
    as_needed,
    groups_of,
    pass_over,
    rating_scale_of,
    request_of,
    why_not,
)
from .token_ids import answer_ids, count_with, prompt_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LEFT_OUT = 3
"""Each side is left out of one in so many examples."""


@dataclass(frozen=True)
class Example:
    """A prompt and its answer, as token ids.

    Attributes:
        prompt_ids: The prompt, up to the start of the answer.
        answer_ids: The answer to learn.
        episode: Source episode.
    """

    prompt_ids: list[int]
    answer_ids: list[int]
    episode: Episode


@dataclass(frozen=True)
class Teacher:
    """The source of the summaries that a reasoner learns from.

    Attributes:
        kind: `own` or `extractive`.
        differential: Mean differential reward of all summaries of each kind, over the contexts with
            both.
        contexts: Number of contexts with both.
    """

    kind: str
    differential: Mapping[str, float]
    contexts: int

    def helps(self, gate_margin: float) -> bool:
        """Whether its mean differential reward exceeds the margin; True if unmeasured."""
        return self.differential.get(self.kind, math.inf) > gate_margin


def integrate_examples(
    episodes: Iterable[Episode],
    tokenizer: PreTrainedTokenizerBase,
    *,
    most: int,
    skipped: Skipped,
    budget: Budget | None = None,
) -> list[Example]:
    """Return the examples of integrate, one per episode.

    Args:
        episodes: All episodes.
        tokenizer: The model's tokenizer.
        most: Maximum number of tokens of an answer; longer ones are truncated and have no end
            token.
        skipped: Counts skipped samples.
        budget: Budget as in serving; None: that of each episode.
    """
    examples = []
    for episode in episodes:
        if episode.target is None:
            skipped["no_target"] += 1
            continue
        if not episode.iterations:
            skipped["failed"] += 1
            continue
        try:
            asked = request_of(episode, rating_scale_of(episode))
        except EpisodesUnfit as error:
            pass_over(skipped, "unfit_request", error)
            continue
        kept = next((it for it in episode.iterations if it.kept), episode.iterations[-1])
        prompt = _integrate_prompt(episode, asked, kept, budget, partial(count_with, tokenizer))
        answer = answer_ids(tokenizer, episode.target.real.strip(), most)
        examples.append(Example(prompt_ids(tokenizer, prompt.messages), answer, episode))
    return examples


def _integrate_prompt(
    episode: Episode,
    asked: tuple[Request, RunContext],
    kept: IterationRecord,
    budget: Budget | None,
    count: Count,
) -> Prompt:
    """Return the prompt of integrate as in the run of an episode, with some sides left out."""
    assert episode.target is not None
    named = next((each for each in BUDGETS.values() if each.name == episode.budget), Budget())
    nothing: Any = None  # a prompt is built, so neither store nor models are needed
    parts = Parts(nothing, nothing, nothing, {}, count, budget or named)
    drafts = {each.iteration: each.draft for each in episode.iterations}
    state: Any = {
        "own": [piece.model_dump() for piece in episode.own],
        "evidence": {
            side: [piece.model_dump() for piece in found] for side, found in kept.evidence.items()
        },
        "draft": drafts.get(kept.iteration - 1) or "",
    }
    turn = Turn(
        state=state,
        request=asked[0],
        context=asked[1],
        parts=parts,
        run=episode.run_id,
        iteration=kept.iteration,
        started=0.0,
    )
    return drafting(turn, _summaries(kept, episode.target.id), REASONERS)


def left_out(target: str, side: str) -> bool:
    """Whether a side is left out of a target's example: a third of them, independently per side.

    Args:
        target: Id of the target.
        side: style or preference.
    """
    return int(hashlib.sha1(f"{target}\x1f{side}".encode()).hexdigest(), 16) % LEFT_OUT == 0


def reasoner_examples(
    episodes: Iterable[Episode],
    needs: Needs,
    tokenizer: PreTrainedTokenizerBase,
    *,
    most: int,
    gate_margin: float,
    skipped: Skipped,
    also: Iterable[Episode] = (),
) -> tuple[list[Example], Teacher]:
    """Return the examples of a reasoner, one per context in which its teacher helps.

    If the teacher is extractive and helps on average, its unmeasured summaries of other episodes
    are added: a format is learnt from many examples, and these cost no model call. If it does not
    help on average, the answer in the other contexts is the abstention.

    Args:
        episodes: All episodes.
        needs: Requirements for an own sample.
        tokenizer: The model's tokenizer.
        most: Maximum number of tokens of an answer; longer ones are truncated.
        gate_margin: A summary helps if its differential reward exceeds this.
        skipped: Counts skipped samples.
        also: Episodes with extractive summaries that were not measured.
    """
    contexts = [
        (episode, _Context.of(episode, group, needs, skipped))
        for episode in episodes
        for group in groups_of(episode, needs.role, skipped)
    ]
    teacher = choose_teacher([context for _, context in contexts])
    helps = teacher.helps(gate_margin)
    abstention = answer_ids(tokenizer, ABSTENTION)
    examples = []
    for episode, context in contexts:
        answer = context.best.get(teacher.kind)
        if answer is None or context.prompt is None:
            skipped[f"no_{teacher.kind}"] += 1
        elif (useful := _differential(answer) > gate_margin) or not helps:
            ids = _ids_of(answer, needs.base, tokenizer, most) if useful else abstention
            examples.append(
                Example(_prompt_of(context.prompt, needs.base, tokenizer), ids, episode)
            )
        else:
            skipped["does_not_help"] += 1
    if teacher.kind == EXTRACTIVE and helps:
        seen = {episode.target.id for episode, _ in contexts if episode.target is not None}
        examples += _unmeasured(also, seen, needs, tokenizer, most)
    return examples, teacher


def _unmeasured(
    episodes: Iterable[Episode],
    seen: Collection[str],
    needs: Needs,
    tokenizer: PreTrainedTokenizerBase,
    most: int,
) -> list[Example]:
    """Return the extractive summaries of other targets."""
    return [
        Example(
            _prompt_of(sample, needs.base, tokenizer),
            answer_ids(tokenizer, sample.text, most),
            episode,
        )
        for episode in episodes
        if episode.target is not None and episode.target.id not in seen
        for sample in episode.samples
        if sample.role == needs.role and sample.model == EXTRACTIVE and sample.text
    ]


@dataclass(frozen=True)
class _Context:
    """A group of candidates.

    Attributes:
        best: Best answer of each kind.
        gains: Differential rewards of all answers of each kind.
        prompt: A sample with the prompt.
    """

    best: Mapping[str, Sample]
    gains: Mapping[str, Sequence[float]]
    prompt: Sample | None

    @classmethod
    def of(cls, episode: Episode, group: Group, needs: Needs, skipped: Skipped) -> _Context:
        best: dict[str, Sample] = {}
        gains: defaultdict[str, list[float]] = defaultdict(list)
        prompt: Sample | None = None
        for sample in episode.candidates(group.id):
            if sample.model != EXTRACTIVE:
                sample = as_needed(sample, needs)
                prompt = prompt or (sample if sample.messages else None)
            reason = _why_no_teacher(sample, needs)
            if reason is not None:
                skipped[reason] += 1
                continue
            kind = EXTRACTIVE if sample.model == EXTRACTIVE else "own"
            gains[kind].append(_differential(sample))
            if kind not in best or _differential(sample) > _differential(best[kind]):
                best[kind] = sample
        return cls(best, gains, prompt)


def choose_teacher(contexts: Sequence[_Context]) -> Teacher:
    """Return the kind with the higher mean differential reward over the contexts with both.

    Each context counts once per kind, however many answers it has. If no context has both, the more
    frequent kind is returned; on a tie the own one.
    """
    both = [context.gains for context in contexts if {"own", EXTRACTIVE} <= set(context.gains)]
    kinds = ("own", EXTRACTIVE)
    if not both:
        counts = {kind: sum(kind in context.best for context in contexts) for kind in kinds}
        return Teacher(max(kinds, key=lambda kind: counts[kind]), {}, 0)
    means = {kind: fmean(fmean(gains[kind]) for gains in both) for kind in kinds}
    return Teacher(max(kinds, key=lambda kind: means[kind]), means, len(both))


def _why_no_teacher(sample: Sample, needs: Needs) -> str | None:
    if sample.model != EXTRACTIVE:
        reason = why_not(sample, needs)
        return "unmeasured" if reason is None and sample.differential is None else reason
    if sample.error is not None or not sample.text:
        return "failed"
    return "unmeasured" if sample.differential is None else None


def _summaries(iteration: IterationRecord, target: str) -> dict[str, str]:
    """Return the summaries of the sides that are not left out."""
    return {
        side: summary
        for side in REASONERS
        if (summary := iteration.summaries.get(side)) is not None and not left_out(target, side)
    }


def _prompt_of(sample: Sample, base: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    if sample.prompt_token_ids is not None and sample.base == base:
        return list(sample.prompt_token_ids)
    return prompt_ids(tokenizer, [(turn.role, turn.content) for turn in sample.messages])


def _ids_of(sample: Sample, base: str, tokenizer: PreTrainedTokenizerBase, most: int) -> list[int]:
    if sample.token_ids is not None and sample.base == base:
        return list(sample.token_ids)[:most]
    return answer_ids(tokenizer, sample.text or "", most)


def _differential(sample: Sample) -> float:
    return 0.0 if sample.differential is None else sample.differential
