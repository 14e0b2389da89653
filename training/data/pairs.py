"""Build DPO pairs from groups: two answers to one prompt, the chosen one with the higher reward.

Both were sampled in one fixed context, so only the answers explain the difference of their rewards.
A pair's answers have similar lengths, as a longer summary would otherwise be better for its length
alone; copies of evidence are skipped. *Gating* (`rewards.gate`): if no candidate of a context
helps, the chosen answer is the abstention and the rejected one the worst candidate.

A candidate that was made without a language model counts in the decision whether anything helps:
evidence from which even an extract gains does contain something.
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
    """Which pairs are built.

    Attributes:
        margin: Minimum difference of a pair's rewards, exclusive.
        per_group: Maximum number of pairs per context.
        length_ratio: Maximum ratio of the longer answer's tokens to the shorter one's.
        gate_margin: A candidate helps if its differential reward exceeds this.
        abstain_share: Maximum share of pairs that teach to abstain; contexts in which candidates do
            the most harm come first. Without a limit a small model learns to abstain everywhere:
            the sentence is short, and easier to learn than anything else.
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
        gap: Reward of the chosen answer less that of the rejected one; for an abstention the
            distance of the best candidate below the margin.
        abstains: Whether the chosen answer is the abstention.
        episode: Source episode.
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
        episodes: All episodes.
        needs: Requirements for a sample.
        settings: Which pairs are built.
        abstention: Token ids of the abstention, including the end token.
        skipped: Counts skipped samples.
    """
    pairs: list[PreferencePair] = []
    for group in usable_groups(episodes, needs, skipped):
        gated = _abstaining(group, settings, tuple(abstention))
        pairs += _pairs_of(group, settings, skipped) if gated is None else gated
    return _bounded(pairs, settings.abstain_share, skipped)


def _abstaining(
    group: UsableGroup, settings: PairSettings, abstention: tuple[int, ...]
) -> list[PreferencePair] | None:
    """Return the pair that prefers to abstain, if any; None if a candidate helps."""
    everyone = group.episode.candidates(group.group.id)
    if gate(everyone, settings.gate_margin) is None:
        return None
    own = gate(group.samples, settings.gate_margin)
    if own is None:  # all of them already abstain
        return []
    best = max(s.differential for s in group.samples if s.differential is not None)
    return [_pair(group, abstention, own.rejected, settings.gate_margin - best, True)]


def _pairs_of(group: UsableGroup, settings: PairSettings, skipped: Skipped) -> list[PreferencePair]:
    """Return a context's pairs, widest gap first; each answer is chosen or rejected once."""
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
    """Drop abstentions above a share a of all pairs: with n others at most n a / (1 - a) remain."""
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
