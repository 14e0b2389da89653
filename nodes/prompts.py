"""Every prompt of the loop, for serving and training alike.

What does not change between iterations (evidence) stands first, what does (draft, the partner's
summary) behind it. Texts of users stand between delimiters that they cannot close. Wording is
plain, so that it is good for a model of 135M parameters and for one of 7B.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .parts import PromptBudget
from .prompt_budget import Count, Fitted, cut, fit
from .state import Evidence, Request
from .untrusted import fence, neutralise

ABSTENTION = "No usable signal."
"""What a reasoner answers where its evidence shows nothing."""

TEMPLATE_TOKENS = 14
"""What a chat template adds to the two messages (ChatML: 13 tokens; Llama 3: 14)."""

PIECE_TOKENS = 10
"""What stands around one piece of evidence: number, delimiters, rating, line break."""

LANGUAGES = {"en": "English", "pt": "Portuguese", "es": "Spanish", "de": "German", "fr": "French"}


@dataclass(frozen=True)
class ReasonerText:
    """The words that make a reasoner.

    Attributes:
        system: Its job, one sentence.
        evidence_heading: Stands before other people's texts.
        own_heading: Stands before the user's own texts (a reasoner that reads them).
        question: What it has to answer.
        heading: Stands before its summary in other prompts.
    """

    system: str
    evidence_heading: str
    question: str
    heading: str
    own_heading: str = "Texts of the writer:"


STYLE = ReasonerText(
    system="You describe how a person writes, never what about.",
    evidence_heading="Texts of people who write like the writer:",
    own_heading="Texts that the writer wrote:",
    question="In one or two short sentences, say how the writer writes: tone, length of sentences, "
    f"punctuation, typical words. Where the texts show nothing, answer: {ABSTENTION}",
    heading="How the writer writes",
)

PREFERENCE = ReasonerText(
    system="You sum up what people think about a subject.",
    evidence_heading="What like-minded people wrote about it:",
    question="In one or two short sentences, say what these people like and dislike about it. "
    f"Where the texts show nothing, answer: {ABSTENTION}",
    heading="What like-minded people think",
)

REASONERS: Mapping[str, ReasonerText] = {"style": STYLE, "preference": PREFERENCE}


@dataclass(frozen=True)
class Prompt:
    """A prompt within its budget.

    Attributes:
        system: The system turn.
        user: The user turn.
        cut_share: Share of its evidence (and request) that was cut to fit, 0 to 1.
    """

    system: str
    user: str
    cut_share: float = 0.0

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and content of each turn, as LangChain takes them."""
        return [("system", self.system), ("user", self.user)]


def reasoner_prompt(
    words: ReasonerText,
    request: Request,
    evidence: Sequence[Evidence],
    *,
    own: Sequence[Evidence] = (),
    draft: str | None = None,
    partners: Mapping[str, str] | None = None,
    budget: PromptBudget,
    count: Count,
) -> Prompt:
    """Build a reasoner's prompt.

    Args:
        words: What makes this reasoner.
        request: What has to be written.
        evidence: Other people's texts, strongest first.
        own: The user's own texts, latest first; they get up to half of the evidence's room.
        draft: The current draft, from the second iteration on.
        partners: Heading and summary of the other trajectories, from the second iteration on.
        budget: Tokens for the whole and its shares.
        count: Tokens of a text.
    """
    asked, asked_cut = _asked(request, budget, count)
    tail = [asked]
    if draft:
        tail.append(f"Draft so far: {fence(cut(neutralise(draft), budget.draft, count))}")
    for heading, summary in (partners or {}).items():
        tail.append(f"{heading}: {fence(cut(neutralise(summary), budget.summary, count))}")
    tail.append(words.question)
    total = budget.first if draft is None else budget.later
    frame = "\n".join([words.system, words.evidence_heading, words.own_heading, *tail])
    room = total - TEMPLATE_TOKENS - count(frame)
    blocks, fits = [], [asked_cut]
    if own:
        own_room = room // 2 if evidence else room
        block, fitted = _evidence_block(words.own_heading, own, own_room, request, budget, count)
        blocks.append(block)
        fits.append(fitted)
        room -= fitted.kept_tokens + PIECE_TOKENS * len(fitted.texts)
    if evidence:
        block, fitted = _evidence_block(
            words.evidence_heading, evidence, room, request, budget, count
        )
        blocks.append(block)
        fits.append(fitted)
    return Prompt(words.system, "\n".join([*blocks, *tail]), _share_cut(fits))


def integrate_prompt(
    request: Request, summaries: Mapping[str, str], *, budget: PromptBudget, count: Count
) -> Prompt:
    """Build the prompt of integrate: the request and the summaries, never anybody's raw text.

    Args:
        request: What has to be written.
        summaries: Heading and summary of each trajectory that did not abstain.
        budget: Tokens for the whole and its shares.
        count: Tokens of a text.
    """
    asked, fitted = _asked(request, budget, count)
    lines = [asked]
    for heading, summary in summaries.items():
        lines.append(f"{heading}: {fence(cut(neutralise(summary), 2 * budget.summary, count))}")
    lines.append(_order(request))
    return Prompt("You write exactly as the writer would.", "\n".join(lines), _share_cut([fitted]))


def _asked(request: Request, budget: PromptBudget, count: Count) -> tuple[str, Fitted]:
    """Say what the writer is about to write, the request's words cut to their share."""
    title, text = neutralise(request.title or ""), neutralise(request.text or "")
    if request.task == "free":
        given = [neutralise(request.instruction or ""), *(part for part in (title, text) if part)]
        fitted = fit(given, budget.request, 1, count)
        return f"The writer was asked: {' '.join(fence(part) for part in fitted.texts)}", fitted
    if request.task == "long":
        fitted = fit([title], budget.request, 1, count)
        return f"The writer writes a text with the title {_first(fitted)}", fitted
    if request.task == "short":
        fitted = fit([text], budget.request, 1, count)
        return f"The writer needs a title for the text {_first(fitted)}", fitted
    fitted = fit([part for part in (title, text) if part], budget.request, 1, count)
    said = " ".join(fence(part) for part in fitted.texts)
    return f"The writer rates what this text is about: {said}", fitted


def _first(fitted: Fitted) -> str:
    return fence(fitted.texts[0] if fitted.texts else "")


def _order(request: Request) -> str:
    language = LANGUAGES.get(request.language, request.language)
    foreign = f" in {language}" if request.language != "en" else ""
    return {
        "long": f"Write that text{foreign}, as the writer, and nothing else.",
        "short": f"Write that title{foreign}: at most ten words, and nothing else.",
        "rating": "Answer with the writer's rating: one number from 1 (bad) to 5 (good).",
        "free": f"Write it{foreign}, as the writer, and nothing else.",
    }[request.task]


def _evidence_block(
    heading: str,
    pieces: Sequence[Evidence],
    room: int,
    request: Request,
    budget: PromptBudget,
    count: Count,
) -> tuple[str, Fitted]:
    """Number the pieces under their heading, cut to `room` tokens."""
    shown = [_shown(piece, request) for piece in pieces]
    keep = len(shown)
    while keep > 1 and (room - PIECE_TOKENS * keep) // keep < budget.smallest_share:
        keep -= 1
    fitted = fit(shown[:keep], max(0, room - PIECE_TOKENS * keep), budget.smallest_share, count)
    lost = sum(count(text) for text in shown[keep:])
    lines = [
        f"{number}. {_rating(piece, request)}{fence(text)}"
        for number, (piece, text) in enumerate(zip(pieces, fitted.texts, strict=False), start=1)
    ]
    whole = Fitted(fitted.texts, fitted.tokens + lost, fitted.kept_tokens)
    return "\n".join([heading, *lines]), whole


def _shown(piece: Evidence, request: Request) -> str:
    """Return what a prompt shows of a piece: titles matter where titles are at stake."""
    with_title = request.task in ("short", "rating") and piece.title
    return neutralise(f"{piece.title}: {piece.body}" if with_title else piece.body)


def _rating(piece: Evidence, request: Request) -> str:
    rated = request.task == "rating" and piece.rating is not None
    return f"({piece.rating:g}/5) " if rated else ""


def _share_cut(fits: Sequence[Fitted]) -> float:
    tokens = sum(fitted.tokens for fitted in fits)
    return 1 - sum(fitted.kept_tokens for fitted in fits) / tokens if tokens else 0.0
