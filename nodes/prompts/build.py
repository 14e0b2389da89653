"""Fit the prompts of the loop into their budgets; serving, benches and training share them.

Parts that do not change between iterations (request, evidence) come first, parts that change
(draft, the partner's summary) after them. Texts of users stand between delimiters that they can't
close. The wording is in the folders beside this file, one for each size of language model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Any

from ...models.sanitise import fence
from ..budget import Budget, Count, Fitted, count_up_to, fit
from ..state import Evidence, Request
from .facts import LENGTH_TASKS, Length, language_name, text_languages, typical_length
from .files import PromptSet, prompt_set
from .texts import (
    Shown,
    fenced,
    fit_words,
    in_a_line,
    limited,
    neutralise,
    piece_tokens,
    quoted_text,
    show_texts,
    shown_part,
    topic_words,
)

ABSTENTION = "No usable signal."
"""The answer of a reasoner whose evidence shows nothing."""

TEMPLATE_TOKENS = 14
"""Tokens that a chat template adds to the two messages (ChatML: 13; Llama 3: 14)."""

LEAST_CUT_TO_SAY = 0.01
"""The result carries a warning if a larger share of a prompt was cut."""


@dataclass(frozen=True)
class ReasonerText:
    """What a trajectory's prompts need to know of it beside the wording in the files.

    Attributes:
        heading: Heading of its summary in other prompts.
        system: Its task in one sentence; for a trajectory without a file of its own.
        evidence_heading: Heading of other people's texts, likewise.
        question: The question to answer, likewise.
        own_heading: Heading of the user's own texts (for a reasoner that reads them), likewise.
        tells_length: Whether it is told how long other people's texts are. What was cut does not
            show it, and small models can't count.
        file: The file of its wording, without ending.
        quoted: Whether its summary is the evidence itself, word for word.
    """

    heading: str
    system: str = ""
    evidence_heading: str = ""
    question: str = ""
    own_heading: str = "Texts of the writer:"
    tells_length: bool = False
    file: str = "reasoner"
    quoted: bool = False


STYLE = ReasonerText("Style", file="style")

# Told here and not with style: how long texts on a topic are says something of the next one; people
# found by a title write as short as it (docs/findings.md).
PREFERENCE = ReasonerText("Opinions", file="preference", tells_length=True)

REASONERS: Mapping[str, ReasonerText] = {"style": STYLE, "preference": PREFERENCE}


@dataclass(frozen=True)
class Prompt:
    """A prompt that fits its budget.

    Attributes:
        system: The system turn.
        user: The user turn.
        fits: Tokens of each of its parts (request, draft, summaries, own, others) before and after
            cutting.
        version: Set and version of its wording.
        shown: Number of other people's texts in it.
        begin: How the answer begins, for a model that continues it; "" leaves it to the model.
    """

    system: str
    user: str
    fits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    version: str = ""
    shown: int = 0
    begin: str = ""

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and content of each turn, in LangChain's form; a last one of the model is begun."""
        begun = [("assistant", self.begin)] if self.begin else []
        return [("system", self.system), ("user", self.user), *begun]

    @property
    def cut_share(self) -> float:
        """Share of request, evidence and summaries that was cut to fit, 0 to 1."""
        counted = [fit for part, fit in self.fits.items() if part not in ("draft", "partners")]
        return _share_cut(counted)

    def cut(self, others: str = "others") -> dict[str, float]:
        """Return the share that was cut of each part that was cut.

        Args:
            others: Name of the part of other people's texts.
        """
        shares = {
            others if part == "others" else part: share
            for part, fit in self.fits.items()
            if (share := _share_cut([fit])) > 0
        }
        if "partners" in shares:  # the other sides' summaries
            shares["summaries"] = max(shares.pop("partners"), shares.get("summaries", 0.0))
        return shares


@dataclass(frozen=True)
class Said:
    """A summary as a prompt's file sees it."""

    heading: str
    text: str
    quoted: bool = False


def reasoner_prompt(
    words: ReasonerText,
    request: Request,
    evidence: Sequence[Evidence],
    *,
    own: Sequence[Evidence] = (),
    draft: str | None = None,
    partners: Mapping[str, str] | None = None,
    lacks: Sequence[str] = (),
    traits: str = "",
    budget: Budget,
    count: Count,
    prompts: PromptSet | None = None,
) -> Prompt:
    """Build a reasoner's prompt.

    Args:
        words: The reasoner.
        request: The text to write.
        evidence: Other people's texts, strongest first.
        own: The user's own texts, latest first; they get up to `own_share` of the evidence's room.
        draft: The current draft, from the second iteration on.
        partners: Heading and summary of the other trajectories, from the second iteration on.
        lacks: What was found wrong with the draft.
        traits: What was measured in the texts.
        budget: Tokens for the whole and its shares.
        count: Tokens of a text.
        prompts: The wording; None: the set of the budget.
    """
    prompts = prompts or prompt_set(budget.prompts)
    values, fits = _request_values(request, budget, count)
    values |= {
        "words": words,
        "traits": traits,
        "same_topic": all(piece.topic_id == request.topic_id for piece in evidence),
        "text_language": text_languages([*own, *evidence], request.language),
    }
    values |= _later_values(draft, partners or {}, lacks, budget, count, fits)
    own_length = _told_length(own, request)
    others_length = _told_length(evidence, request) if words.tells_length else 0
    total = budget.first if draft is None else budget.later
    frame = prompts.render(
        words.file,
        {**values, "own": Shown(True, (), own_length), "others": Shown(True, (), others_length)},
    )
    room = total - _tokens(frame, count)
    shown_own = shown_others = Shown()
    if own:
        own_room = _own_room(room, evidence, request, budget, count) if evidence else room
        shown_own, used, fits["own"] = show_texts(
            own, own_room, budget.own_words, request, budget, count, own_length
        )
        room -= used
    if evidence:
        shown_others, _, fits["others"] = show_texts(
            evidence, room, budget.other_words, request, budget, count, others_length
        )
    shown = {"own": shown_own, "others": shown_others}
    system, user, begin = prompts.render(words.file, {**values, **shown})
    return Prompt(system, user, fits, prompts.version, len(shown_others.texts), begin)


def integrate_prompt(
    request: Request,
    summaries: Mapping[str, str],
    *,
    later: bool = False,
    own: Sequence[Evidence] = (),
    quoted: Sequence[str] = (),
    length: Length | None = None,
    draft: str | None = None,
    lacks: Sequence[str] = (),
    continues: bool = False,
    budget: Budget,
    count: Count,
    prompts: PromptSet | None = None,
) -> Prompt:
    """Build the prompt of integrate from the request, the summaries and the user's own texts.

    Args:
        request: The text to write.
        summaries: Heading and summary of each trajectory that did not abstain.
        later: Whether this is the second iteration or a later one.
        own: The user's own texts that are quoted, latest first.
        quoted: Headings of summaries that are the evidence itself, word for word.
        length: How long the draft is expected to be, where that is to be told.
        draft: The current draft, from the second iteration on, where the wording shows it.
        lacks: What was found wrong with the draft.
        continues: Whether the model continues an answer that is begun, as local ones do.
        budget: Tokens for the whole and its shares.
        count: Tokens of a text.
        prompts: The wording; None: the set of the budget.
    """
    prompts = prompts or prompt_set(budget.prompts)
    values, fits = _request_values(request, budget, count)
    values |= {"length": length, **_later_values(draft, {}, lacks, budget, count, fits)}
    values |= {"continues": continues, "text_language": text_languages(own, request.language)}

    def render(own_texts: Shown, texts: Sequence[str]) -> tuple[str, str, str]:
        said = [
            Said(heading, fence(text), heading in quoted)
            for heading, text in zip(summaries, texts, strict=False)
        ]
        return prompts.render("integrate", {**values, "own": own_texts, "summaries": said})

    frame = render(Shown(bool(own)), [""] * len(summaries))
    room = (budget.later if later else budget.first) - _tokens(frame, count)
    summaries_room = room if not own else floor(room * (1 - budget.own_share))
    if not quoted:
        # Twice the requested length of a summary: models miscount, and a good long one may stay.
        summaries_room = min(summaries_room, 2 * budget.summary * len(summaries))
    harmless = [neutralise(summary) for summary in summaries.values()]
    fitted = fit(harmless, summaries_room, 1, count, around=2)
    if summaries:
        fits["summaries"] = (fitted.tokens, fitted.kept_tokens)
    shown_own = Shown()
    if own:
        room -= fitted.kept_tokens + 2 * len(fitted.texts)
        most, begun = budget.own_words, bool(frame[-1])
        shown_own, _, fits["own"] = show_texts(own, room, most, request, budget, count, posts=begun)
    system, user, begin = render(shown_own, fitted.texts)
    return Prompt(system, user, fits, prompts.version, begin=begin)


def quoted_texts(
    request: Request,
    pieces: Sequence[Evidence],
    heading: str,
    *,
    share: float = 1.0,
    budget: Budget,
    count: Count,
    prompts: PromptSet | None = None,
) -> Fitted:
    """Return evidence as integrate quotes it: in equal shares of the room in its prompt.

    Args:
        request: The text to write.
        pieces: The evidence, strongest first.
        heading: Its heading.
        share: Share of the room, 0 to 1, where other sides are quoted too.
        budget: Tokens for the whole and its shares.
        count: Tokens of a text.
        prompts: The wording; None: the set of the budget.
    """
    empty = integrate_prompt(
        request, {heading: ""}, quoted=[heading], budget=budget, count=count, prompts=prompts
    )
    room = budget.first - _tokens((empty.system, empty.user, empty.begin), count)
    texts = [quoted_text(piece, request) for piece in pieces]
    room = floor(room * share)
    return fit_words(texts, room, budget.other_words, budget, count, around=2)


def _request_values(
    request: Request, budget: Budget, count: Count
) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """Return what a file may say of a request, cut to its share, and the tokens of the request."""
    title, text, instruction = request.title or "", request.text or "", request.instruction or ""
    given = {
        "long": {"title": title},
        "short": {"text": text},
        "rating": {"title": title, "text": text},
        "free": {"instruction": instruction, "title": title, "text": text},
    }[request.task]
    given = {name: part for name, part in given.items() if part}
    fitted = fit([neutralise(part) for part in given.values()], budget.request, 1, count)
    plain = dict(zip(given, fitted.texts, strict=False))
    parts = {name: fence(text) for name, text in plain.items()}
    return {
        "task": request.task,
        "request": " ".join(parts.values()),
        "title": parts.get("title", ""),
        "heading": in_a_line(plain.get("title", "")),
        "topic": topic_words(request.topic_id),
        "text": parts.get("text", ""),
        "instruction": parts.get("instruction", ""),
        "language": language_name(request.language),
        "lowest": f"{request.scale.low:g}",
        "highest": f"{request.scale.high:g}",
        "abstention": ABSTENTION,
    }, {"request": (fitted.tokens, fitted.kept_tokens)}


def _later_values(
    draft: str | None,
    partners: Mapping[str, str],
    lacks: Sequence[str],
    budget: Budget,
    count: Count,
    fits: dict[str, tuple[int, int]],
) -> dict[str, Any]:
    """Return what a file may say from the second iteration on; adds to `fits` what was cut."""
    values: dict[str, Any] = {"draft": "", "partners": [], "lacks": list(lacks)}
    if draft:
        values["draft"], fits["draft"] = fenced(draft, budget.draft, count)
    for heading, summary in partners.items():
        text, partner_fit = fenced(summary, budget.summary, count)
        values["partners"].append(Said(heading, text))
        fits["partners"] = _added(fits.get("partners", (0, 0)), partner_fit)
    return values


def _told_length(pieces: Sequence[Evidence], request: Request) -> int:
    """Return the mean length of texts if the task is to write one like them, else 0."""
    if request.task not in LENGTH_TASKS:
        return 0
    return typical_length([piece.body for piece in pieces])


def _own_room(
    room: int, evidence: Sequence[Evidence], request: Request, budget: Budget, count: Count
) -> int:
    """Return the room of own texts: their share, and what other people's texts do not need."""
    share = floor(room * budget.own_share)
    if not budget.by_need:
        return share
    texts = [limited(shown_part(piece, request), budget.other_words) for piece in evidence]
    tokens = sum(count_up_to(text, room, count) for text in texts)
    needed = tokens + piece_tokens(request, count) * len(texts)
    return max(share, room - needed)


def _tokens(turns: Sequence[str], count: Count) -> int:
    """Return the tokens of a prompt in a chat template."""
    return TEMPLATE_TOKENS + count("\n".join(filter(None, turns)))


def _added(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def _share_cut(fits: Sequence[tuple[int, int]]) -> float:
    tokens = sum(before for before, _ in fits)
    return 1 - sum(after for _, after in fits) / tokens if tokens else 0.0
