"""All prompts of the loop; serving and training share them.

Parts that do not change between iterations (request, evidence) come first, parts that change
(draft, the partner's summary) after them. Texts of users stand between delimiters that they can't
close. The wording is plain, so it works for models from 135M parameters on: evidence is not
numbered and nobody is called "the writer", because a small model continues in the form of what it
read last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..models.sanitise import fence
from ..models.sanitise import harmless_text as neutralise
from .budget import Count, Fitted, cut, fit
from .dependencies import PromptBudget
from .state import Evidence, Request

ABSTENTION = "No usable signal."
"""The answer of a reasoner whose evidence shows nothing."""

TEMPLATE_TOKENS = 14
"""Tokens that a chat template adds to the two messages (ChatML: 13; Llama 3: 14)."""

LEAST_CUT_TO_SAY = 0.01
"""The result carries a warning if a larger share of a prompt was cut."""

LENGTH_TASKS = ("long", "free")
"""Tasks whose answer is a text like the evidence, not a title or a rating."""

LANGUAGES = {"en": "English", "pt": "Portuguese", "es": "Spanish", "de": "German", "fr": "French"}


@dataclass(frozen=True)
class ReasonerText:
    """The wording of a reasoner's prompt.

    Attributes:
        system: Its task in one sentence.
        evidence_heading: Heading of other people's texts.
        own_heading: Heading of the user's own texts (for a reasoner that reads them).
        question: The question to answer.
        heading: Heading of its summary in other prompts.
        tells_length: Whether it is told how long other people's texts are. What was cut does not
            show it, and small models can't count.
    """

    system: str
    evidence_heading: str
    question: str
    heading: str
    own_heading: str = "Texts of the writer:"
    tells_length: bool = False


STYLE = ReasonerText(
    system=f"You describe how people write. If the texts show nothing, answer: {ABSTENTION}",
    evidence_heading="Texts of people who write alike:",
    own_heading="Texts of this person:",
    question="Describe the writing style of these texts in one or two short sentences: tone, "
    "length of sentences, punctuation, typical words.",
    heading="Style",
)

PREFERENCE = ReasonerText(
    system=f"You sum up opinions. If the texts show nothing, answer: {ABSTENTION}",
    evidence_heading="What like-minded people wrote about it:",
    question="Summarize what they like and dislike in one or two short sentences.",
    heading="Opinions",
    # Told here and not with style: how long texts on a topic are says something of the next one;
    # people found by a title write as short as it (docs/findings.md).
    tells_length=True,
)

INTEGRATE = "You write short personal texts in the first person."

_LABELS = {"long": "Title", "short": "Text", "rating": "Text", "free": "Request"}

REASONERS: Mapping[str, ReasonerText] = {"style": STYLE, "preference": PREFERENCE}


@dataclass(frozen=True)
class Prompt:
    """A prompt that fits its budget.

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
        """Role and content of each turn, in LangChain's form."""
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
        words: The reasoner's wording.
        request: The text to write.
        evidence: Other people's texts, strongest first.
        own: The user's own texts, latest first; they get up to half of the evidence's budget.
        draft: The current draft, from the second iteration on.
        partners: Heading and summary of the other trajectories, from the second iteration on.
        budget: Tokens for the whole and its shares.
        count: Tokens of a text.
    """
    asked, asked_cut = _asked(request, budget, count)
    head, tail = f"{_LABELS[request.task]}: {asked}", []
    if draft:
        tail.append(f"Draft so far: {fence(cut(neutralise(draft), budget.draft, count))}")
    for heading, summary in (partners or {}).items():
        tail.append(f"{heading}: {fence(cut(neutralise(summary), budget.summary, count))}")
    tail.append(words.question)
    total = budget.first if draft is None else budget.later
    own_heading = _with_length(words.own_heading, own, request)
    evidence_heading = words.evidence_heading
    if words.tells_length:
        evidence_heading = _with_length(evidence_heading, evidence, request)
    frame = "\n".join([words.system, head, evidence_heading, own_heading, *tail])
    room = total - TEMPLATE_TOKENS - count(frame)
    blocks, fits = [], [asked_cut]
    if own:
        own_room = room // 2 if evidence else room
        block, fitted = _evidence_block(own_heading, own, own_room, request, budget, count)
        blocks.append(block)
        fits.append(fitted)
        room -= fitted.kept_tokens + _piece_tokens(request, count) * len(fitted.texts)
    if evidence:
        block, fitted = _evidence_block(evidence_heading, evidence, room, request, budget, count)
        blocks.append(block)
        fits.append(fitted)
    lines = [head, *filter(None, blocks), *tail]
    return Prompt(words.system, "\n".join(lines), _share_cut(fits))


def integrate_prompt(
    request: Request,
    summaries: Mapping[str, str],
    *,
    later: bool = False,
    budget: PromptBudget,
    count: Count,
) -> Prompt:
    """Build the prompt of integrate from the request and the summaries, without raw texts.

    Args:
        request: The text to write.
        summaries: Heading and summary of each trajectory that did not abstain.
        later: Whether this is the second iteration or a later one.
        budget: Tokens for the whole and its shares.
        count: Tokens of a text.
    """
    asked, asked_cut = _asked(request, budget, count)
    order = _order(request, asked, list(summaries))
    headings = [f"{heading}: {fence('')}" for heading in summaries]
    frame = "\n".join([INTEGRATE, *headings, order])
    room = (budget.later if later else budget.first) - TEMPLATE_TOKENS - count(frame)
    # Twice the requested length of a summary: models miscount, and a good long one may stay.
    room = min(room, 2 * budget.summary * len(summaries))
    fitted = fit([neutralise(summary) for summary in summaries.values()], room, 1, count, around=2)
    said = [
        f"{heading}: {fence(text)}" for heading, text in zip(summaries, fitted.texts, strict=False)
    ]
    # The instruction comes last: a small model continues with what it read last.
    return Prompt(INTEGRATE, "\n".join([*said, order]), _share_cut([asked_cut, fitted]))


def typical_length(texts: Sequence[str]) -> int:
    """Return the mean length in words, 0 if there are no words."""
    counts = [count for text in texts if (count := len(text.split()))]
    return round(fmean(counts)) if counts else 0


def _with_length(heading: str, pieces: Sequence[Evidence], request: Request) -> str:
    """Add the length of the texts if the task is to write one like them."""
    length = typical_length([piece.body for piece in pieces])
    if not length or request.task not in LENGTH_TASKS:
        return heading
    return f"{heading.removesuffix(':')} (about {length} word{'s' * (length != 1)} each):"


def _asked(request: Request, budget: PromptBudget, count: Count) -> tuple[str, Fitted]:
    """Return the request's words between delimiters, cut to their share."""
    title, text, instruction = request.title or "", request.text or "", request.instruction or ""
    given = {
        "long": [title],
        "short": [text],
        "rating": [title, text],
        "free": [instruction, title, text],
    }[request.task]
    fitted = fit([neutralise(part) for part in given if part], budget.request, 1, count)
    return " ".join(fence(part) for part in fitted.texts), fitted


def _order(request: Request, asked: str, headings: Sequence[str]) -> str:
    """Return the instruction of integrate, given the summaries that it has (style, opinions)."""
    language = LANGUAGES.get(request.language, request.language)
    foreign = f" in {language}" if request.language != "en" else ""
    above = " and ".join(heading.lower() for heading in headings)
    kept = f", with the {above} above" if above else ""
    scale = request.scale
    return {
        "long": f"Write a short personal text{foreign} with the title {asked}{kept}.",
        "short": f"Write a title of at most ten words{foreign} for the text {asked}{kept}. "
        "Answer with the title only.",
        "rating": f"Which rating does the writer of the text {asked} give, from {scale.low:g} "
        f"(bad) to {scale.high:g} (good)? Answer with one number only.",
        "free": f"Do what is asked{foreign}, in the first person{kept}: {asked}",
    }[request.task]


def _evidence_block(
    heading: str,
    pieces: Sequence[Evidence],
    room: int,
    request: Request,
    budget: PromptBudget,
    count: Count,
) -> tuple[str, Fitted]:
    """List the evidence under its heading, cut to `room` tokens; "" if none fits."""
    shown = [_shown(piece, request) for piece in pieces]
    around = _piece_tokens(request, count)
    fitted = fit(shown, room, budget.smallest_share, count, around=around)
    lines = [
        f"- {_rating(piece.rating, request)}{fence(text)}"
        for piece, text in zip(pieces, fitted.texts, strict=False)
    ]
    return "\n".join([heading, *lines]) if lines else "", fitted


def _piece_tokens(request: Request, count: Count) -> int:
    """Return the frame of one piece of evidence: dash, rating, delimiters, line break."""
    return count(f"- {_rating(4.5, request)}{fence('x')}\n")


def _shown(piece: Evidence, request: Request) -> str:
    """Return the part of a text that a prompt shows: its title too if one is to be written."""
    with_title = request.task in ("short", "rating") and piece.title
    return neutralise(f"{piece.title}: {piece.body}" if with_title else piece.body)


def _rating(rating: float | None, request: Request) -> str:
    if rating is None or request.task != "rating":
        return ""
    return f"({round(rating, 1):g}/{request.scale.high:g}) "


def _share_cut(fits: Sequence[Fitted]) -> float:
    tokens = sum(fitted.tokens for fitted in fits)
    return 1 - sum(fitted.kept_tokens for fitted in fits) / tokens if tokens else 0.0
