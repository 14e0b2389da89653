"""Examples for a warm start: a prompt and the answer that is to be learnt.

integrate learns the genre from real texts: its prompt is made from the request and the summaries of
the run, its answer is what the person really wrote. Each side is left out of a third of the
examples, by the hash of the target, so that it learns to write from what there is.

A reasoner learns from the better of two teachers: its own best candidate of each context, or the
summary that was made without a language model. The kind whose summaries bring more in the mean
(differential reward, over the contexts that have both) teaches, in the contexts in which it helps.
*All* own candidates count for that mean, not the best alone: the best of four was picked with the
real text at hand, which no reasoner has when it writes, so it brings more than can be learnt.
Where even the better teacher does not help in the mean, the contexts in which it does not help
teach to abstain.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

from ...nodes.dependencies import PromptBudget
from ...nodes.prompts import ABSTENTION, REASONERS, integrate_prompt
from ...nodes.state import Request
from ...stores.episodes.schema import EXTRACTIVE, Episode, Group, IterationRecord, Sample
from .samples import Needs, Skipped, as_needed, why_not
from .token_ids import answer_ids, count_with, prompt_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LEFT_OUT = 3
"""Each side is left out in one of so many examples."""


@dataclass(frozen=True)
class Example:
    """A prompt and its answer, as token ids.

    Attributes:
        prompt_ids: The prompt, up to where the answer begins.
        answer_ids: What is learnt.
        episode: Where it comes from.
    """

    prompt_ids: list[int]
    answer_ids: list[int]
    episode: Episode


@dataclass(frozen=True)
class Teacher:
    """Whose summaries a reasoner learns from.

    Attributes:
        kind: `own` or `extractive`.
        differential: Mean differential reward of all summaries of each kind, over the contexts with
            both.
        contexts: Contexts with both.
    """

    kind: str
    differential: Mapping[str, float]
    contexts: int

    def helps(self, gate_margin: float) -> bool:
        """Say whether its summaries bring more than this in the mean; if unmeasured, they do."""
        return self.differential.get(self.kind, math.inf) > gate_margin


def integrate_examples(
    episodes: Iterable[Episode],
    tokenizer: PreTrainedTokenizerBase,
    *,
    most: int,
    skipped: Skipped,
    budget: PromptBudget | None = None,
) -> list[Example]:
    """Return what integrate learns from, one example an episode.

    Args:
        episodes: All of them.
        tokenizer: The model's.
        most: A longer text is cut here, and does not end then.
        skipped: Counts what is left out.
        budget: As in serving; that of the bundled model where None.
    """
    examples = []
    for episode in episodes:
        if episode.target is None:
            skipped["no_target"] += 1
            continue
        if not episode.iterations:
            skipped["failed"] += 1
            continue
        kept = next((it for it in episode.iterations if it.kept), episode.iterations[-1])
        prompt = integrate_prompt(
            Request.model_validate(episode.request),
            _summaries(kept, episode.target.id),
            later=kept.iteration > 1,
            budget=budget or PromptBudget(),
            count=partial(count_with, tokenizer),
        )
        answer = answer_ids(tokenizer, episode.target.real.strip(), most)
        examples.append(Example(prompt_ids(tokenizer, prompt.messages), answer, episode))
    return examples


def left_out(target: str, side: str) -> bool:
    """Say whether a side is left out of a target's example: in a third of them, each by itself.

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
    """Return what a reasoner learns from, one example a context in which its teacher helps.

    Where the teacher is no model and helps in the mean, what it made of other episodes without
    being measured is taken along: a form is learnt from many examples, and these cost no call.
    Where it does not help in the mean, the answer is the abstention in the other contexts.

    Args:
        episodes: All of them.
        needs: What an own sample needs.
        tokenizer: The model's.
        most: A longer answer is cut here.
        gate_margin: A differential reward up to this does not help.
        skipped: Counts what is left out.
        also: Episodes whose summaries were made without a model, and not measured.
    """
    contexts = [
        (episode, _Context.of(episode, group, needs, skipped))
        for episode in episodes
        for group in episode.groups
        if group.role == needs.role
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
    """Return the summaries of other targets that were made without a model."""
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
    """One group.

    Attributes:
        best: The best answer of each kind.
        gains: Differential rewards of all answers of each kind.
        prompt: A sample that holds the prompt.
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

    A context counts once for each kind, however many answers it has.

    Where no context has both, it is the kind that there is more of; a tie goes to the own one.
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
    """Return heading and summary of the sides that stay."""
    return {
        words.heading: summary
        for side, words in REASONERS.items()
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
