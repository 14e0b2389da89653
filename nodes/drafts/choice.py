"""Choose among several drafts of one prompt, without a language model.

Kept is the draft with the highest expected agreement (minimum Bayes risk, Kumar and Byrne 2004):
with the other drafts, since what a model says again and again is seldom a slip, and with what
others wrote on the topic, since the text to write will be like theirs. Faults that are certain
count more than any agreement.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from ..guards.drafts import Guard, spoken_words
from ..prompts.facts import split_sentences

DRAFTS, EVIDENCE = 0.5, 0.5
"""Weights of the agreement with the other drafts, and with others' texts on the topic. Without one
of them the other counts alone."""

FAULT = 1.0
"""What a fault costs: agreement is at most 1, so a draft with fewer faults is always better."""

OWN_RUN = 8
"""Words in a row of an own text that are a copy; as of other people's texts."""

NOTES_RUN = 12
"""Words in a row of the notes that are a copy: shorter ones are the points that it should make."""

SHORTEST, LONGEST = 0.5, 2.0
"""Bounds of a draft's length, as shares of the expected one, which the model was told."""

ALIKE = 0.6
"""Agreement from which two sentences of a draft say the same."""

SHORTEST_SENTENCE = 4
"""Words from which a sentence is compared: a refrain may be short."""

Words = Sequence[str]


@dataclass(frozen=True)
class Candidate:
    """One of several drafts.

    Attributes:
        text: The draft.
        answer: The whole answer that it was read from.
        flaw: Whether it is not in the requested form: empty, refused, no rating.
        cut: Whether it reached its limit of tokens.
    """

    text: str
    answer: str = ""
    flaw: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Material:
    """What drafts are judged by.

    Attributes:
        task: The task of the request.
        span: Points between the ends of the scale of ratings.
        guard: What an answer may not repeat; None: nothing is compared.
        notes: The summaries.
        own: The user's own texts.
        others: Other people's texts on the topic.
        request: What the request says; it may be repeated.
        words: Words that are expected; 0: it is not known how many.
    """

    task: str = "long"
    span: float = 4.0
    guard: Guard | None = None
    notes: Sequence[str] = ()
    own: Sequence[str] = ()
    others: Sequence[str] = ()
    request: Sequence[str] = ()
    words: int = 0


@dataclass(frozen=True)
class Judgement:
    """How a draft was judged.

    Attributes:
        drafts: Agreement with the other drafts, 0 to 1; None: there are none.
        evidence: Agreement with others' texts on the topic, 0 to 1; None: there are none.
        faults: Names of its faults, as in `FAULTS`.
    """

    drafts: float | None = None
    evidence: float | None = None
    faults: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """What the best one is chosen by."""
        known = [
            (weight, value)
            for weight, value in ((DRAFTS, self.drafts), (EVIDENCE, self.evidence))
            if value is not None
        ]
        whole = sum(weight for weight, _ in known)
        agreement = sum(weight * value for weight, value in known) / whole if whole else 0.0
        return agreement - FAULT * len(self.faults)

    def record(self) -> dict[str, Any]:
        """Return what the record of a run keeps of it."""
        rounded = {
            name: None if value is None else round(value, 4)
            for name, value in (("drafts", self.drafts), ("evidence", self.evidence))
        }
        return {"score": round(self.score, 4), **rounded, "faults": list(self.faults)}


def judge(candidates: Sequence[Candidate], material: Material) -> list[Judgement]:
    """Judge drafts of one prompt, in their order."""
    words = [spoken_words(each.text) for each in candidates]
    others = [spoken_words(text) for text in material.others]
    near = [[1.0] * len(words) for _ in words]
    for one, other in combinations(range(len(words)), 2):
        near[one][other] = near[other][one] = _agreement(one, other, candidates, words, material)
    return [
        Judgement(
            _mean([near[place][other] for other in range(len(words)) if other != place]),
            _mean([overlap(words[place], text) for text in others]),
            tuple(name for name, has in FAULTS.items() if has(candidate, material)),
        )
        for place, candidate in enumerate(candidates)
    ]


def _agreement(
    one: int,
    other: int,
    candidates: Sequence[Candidate],
    words: Sequence[Words],
    material: Material,
) -> float:
    """Return how well two drafts agree; two ratings by their distance."""
    if material.task == "rating":
        a, b = candidates[one], candidates[other]
        return 0.0 if a.flaw or b.flaw else 1 - abs(int(a.text) - int(b.text)) / material.span
    return overlap(words[one], words[other])


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def overlap(one: Words, other: Words) -> float:
    """Return the share of words that two texts have in common (ROUGE-1, F1 in [0, 1]; Lin 2004).

    Examples:
        >>> overlap(["a", "warm", "lamp"], ["a", "lamp"])
        0.8
    """
    if not one or not other:
        return 0.0
    return 2 * (Counter(one) & Counter(other)).total() / (len(one) + len(other))


def _repeats_others(candidate: Candidate, material: Material) -> bool:
    return material.guard is not None and bool(material.guard.faults(candidate.answer))


def _repeats_own(candidate: Candidate, material: Material) -> bool:
    copied = Guard(OWN_RUN, others=material.own, free=material.request)
    return bool(copied.faults(candidate.text))


_LABEL = re.compile(r"([^\W\d_][\w' ]{3,40}?)\s*:(?!\S)")
"""A label of the notes, such as "What they like:"."""


def _recites_notes(candidate: Candidate, material: Material) -> bool:
    """Whether a draft has many words of the notes in a row, or one of their labels."""
    copied = Guard(NOTES_RUN, others=material.notes, free=(*material.request, *material.own))
    if copied.faults(candidate.text):
        return True
    labels = {found[1].lower() for note in material.notes for found in _LABEL.finditer(note)}
    return any(found[1].lower() in labels for found in _LABEL.finditer(candidate.text))


def _says_again(candidate: Candidate, material: Material) -> bool:
    """Whether two sentences of a draft say nearly the same in the same words."""
    sentences = [spoken_words(each) for each in split_sentences(candidate.text)]
    long = [each for each in sentences if len(each) >= SHORTEST_SENTENCE]
    return any(overlap(*pair) >= ALIKE for pair in combinations(long, 2))


_HEADING = re.compile(r"^\s*(?:#{1,6} \S|\*\*[^*\n]+\*\*:?\s*$)", re.MULTILINE)


def _has_headings(candidate: Candidate, material: Material) -> bool:
    """Whether a post has headings, as no text of the user has."""
    usual = material.task != "long" or any(map(_HEADING.search, material.own))
    return not usual and _HEADING.search(candidate.text) is not None


def _is_far_off(candidate: Candidate, material: Material) -> bool:
    """Whether a draft is far shorter or longer than expected."""
    shares = SHORTEST * material.words, LONGEST * material.words
    return bool(material.words) and not shares[0] <= len(candidate.text.split()) <= shares[1]


_TALK = re.compile(
    r"(?:please |and )?"
    r"(?:thank(?:s| you) for (?:letting me know|sharing|asking|your (?:question|request|post))"
    r"|let me know if (?:you|there)\b|feel free to (?:ask|reach|contact|adjust|edit)"
    r"|(?:i )?hope (?:this|that) helps|as an ai\b|happy to help|how (?:can|may) i (?:help|assist)"
    r"|is there anything else|would you like me to|i(?:'m| am) not sure what you mean"
    r"|i(?:'m| am) (?:so |very )?(?:glad|happy|sorry) (?:that )?you\b"
    r"|(?:i(?:'m| am) writing|this is) (?:this|a|the) (?:post|text|review) (?:in the voice|as) )",
    re.IGNORECASE,
)
"""How a sentence begins that a model says to its user, and nobody in a post."""


def _talks(candidate: Candidate, material: Material) -> bool:
    """Whether a post speaks to the model's user, as no text of the user does; a mail may."""
    usual = material.task != "long" or any(map(_speaks_so, material.own))
    return not usual and _speaks_so(candidate.text)


def _speaks_so(text: str) -> bool:
    return any(map(_TALK.match, split_sentences(text)))


FAULTS: Mapping[str, Callable[[Candidate, Material], bool]] = {
    "form": lambda candidate, _: candidate.flaw or not candidate.text.strip(),
    "cut": lambda candidate, _: candidate.cut,
    "others": _repeats_others,
    "own": _repeats_own,
    "notes": _recites_notes,
    "length": _is_far_off,
    "headings": _has_headings,
    "again": _says_again,
    "talk": _talks,
}
"""What is certainly wrong with a draft, by name."""
