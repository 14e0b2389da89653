"""From groups to pairs for DPO: two answers to one prompt, the first with the higher reward.

Both were drawn in one fixed context, so what differs between their rewards is their own doing. A
pair's answers have about the same length, for a longer summary would else be better for its length
alone; copies of evidence are left out. *Gating* (`rewards.gate`): where no candidate of a context
helps, the chosen answer is the abstention and the rejected one the worst candidate.

A candidate that was made without a language model counts where it is asked whether anything helps:
evidence that a plain extract gains from does show something.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from ...stores.episodes.schema import Episode, Sample
from ..rewards.components import gate
from .samples import Needs, Skipped, UsableGroup, usable_groups


@dataclass(frozen=True)
class PairSettings:
    """Which pairs are made.

    Attributes:
        margin: Rewards of a pair differ by more than this.
        per_group: Pairs of one context at most.
        length_ratio: The longer answer has at most so many times the tokens of the shorter.
        gate_margin: A candidate with a differential reward up to this does not help.
        abstain_share: Share of all pairs that may teach to abstain; the contexts in which
            candidates do the most harm come first. Without a bound a small model learns
            to abstain everywhere: the sentence is short, and easier to learn than anything else.
    """

    margin: float = 0.02
    per_group: int = 2
    length_ratio: float = 1.5
    gate_margin: float = 0.0
    abstain_share: float = 0.2


@dataclass(frozen=True)
class PreferencePair:
    """Two answers to one prompt, as token ids.

    Attributes:
        gap: Reward of the chosen less that of the rejected; of an abstention how far the best
            candidate lies below the margin.
        abstains: Whether the chosen answer is the abstention.
        episode: Where it comes from.
    """

    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    gap: float
    abstains: bool
    episode: Episode


def make_pairs(
    episodes: Iterable[Episode],
    needs: Needs,
    settings: PairSettings,
    abstention: Sequence[int],
    skipped: Skipped,
) -> list[PreferencePair]:
    """Return the pairs of a role, in the order of the episodes.

    Args:
        episodes: All of them.
        needs: What a sample needs.
        settings: Which pairs are made.
        abstention: Token ids of the abstention, the ending one included.
        skipped: Counts what is left out.
    """
    pairs: list[PreferencePair] = []
    for group in usable_groups(episodes, needs, skipped):
        gated = _abstaining(group, settings, tuple(abstention))
        pairs += _pairs_of(group, settings, skipped) if gated is None else gated
    return _bounded(pairs, settings.abstain_share, skipped)


def _abstaining(
    group: UsableGroup, settings: PairSettings, abstention: tuple[int, ...]
) -> list[PreferencePair] | None:
    """Return the pair that prefers to abstain, or none; None where a candidate helps."""
    everyone = group.episode.candidates(group.group.id)
    if gate(everyone, settings.gate_margin) is None:
        return None
    own = gate(group.samples, settings.gate_margin)
    if own is None:  # all of them abstain already
        return []
    best = max(s.differential for s in group.samples if s.differential is not None)
    return [_pair(group, abstention, own.rejected, settings.gate_margin - best, True)]


def _pairs_of(group: UsableGroup, settings: PairSettings, skipped: Skipped) -> list[PreferencePair]:
    """Return a context's pairs, the widest gap first; each answer stands on a side once."""
    differing = [
        (gap, better, worse)
        for better, worse in combinations(group.samples, 2)
        if (gap := _gap(better, worse)) > settings.margin
    ]
    matched = [
        found for found in differing if _length_ratio(found[1], found[2]) <= settings.length_ratio
    ]
    if not matched:
        skipped["length" if differing else "below_margin"] += 1
    pairs: list[PreferencePair] = []
    chosen: set[str] = set()
    rejected: set[str] = set()
    for gap, better, worse in sorted(matched, key=lambda found: -found[0]):
        if len(pairs) == settings.per_group:
            break
        if better.id in chosen or worse.id in rejected or better.token_ids == worse.token_ids:
            continue
        chosen.add(better.id)
        rejected.add(worse.id)
        pairs.append(_pair(group, better.token_ids or (), worse, gap, False))
    if matched and not pairs:
        skipped["same_answer"] += 1
    return pairs


def _pair(
    group: UsableGroup, chosen: tuple[int, ...], worse: Sample, gap: float, abstains: bool
) -> PreferencePair:
    return PreferencePair(
        prompt_ids=tuple(group.prompt_ids),
        chosen_ids=chosen,
        rejected_ids=worse.token_ids or (),
        gap=gap,
        abstains=abstains,
        episode=group.episode,
    )


def _bounded(pairs: list[PreferencePair], share: float, skipped: Skipped) -> list[PreferencePair]:
    """Leave out abstentions above a share a of all pairs: of n others at most n a / (1 - a)."""
    abstaining = [pair for pair in pairs if pair.abstains]
    others = len(pairs) - len(abstaining)
    allowed = len(abstaining) if share == 1 else int(others * share / (1 - share))
    if len(abstaining) <= allowed:
        return pairs
    skipped["abstention"] += len(abstaining) - allowed
    kept = {id(pair) for pair in sorted(abstaining, key=lambda pair: -pair.gap)[:allowed]}
    return [pair for pair in pairs if not pair.abstains or id(pair) in kept]


def _gap(better: Sample, worse: Sample) -> float:
    if better.reward is None or worse.reward is None:
        return 0.0
    return better.reward - worse.reward


def _length_ratio(one: Sample, other: Sample) -> float:
    lengths = sorted((len(one.token_ids or ()), len(other.token_ids or ())))
    return lengths[1] / max(lengths[0], 1)
