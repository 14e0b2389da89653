"""Budgets of prompts and answers, and the functions that keep them.

`BUDGETS` holds one budget for each size of language model; `choose_budget` picks by the models at
hand. Request and draft have fixed shares of a prompt. The rest is divided equally among the
evidence; tokens that a short text does not need go to the longer ones. Texts are cut between words.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Literal, Protocol

Count = Callable[[str], int]

BudgetName = Literal["small", "medium", "large"]
Mode = Literal["own_quoted", "summaries", "quoted"]

AUTO = "auto"
"""The setting that chooses a budget by the models."""


@dataclass(frozen=True)
class Budget:
    """Limits of prompts and answers; lengths in tokens, unless they say words.

    The defaults are those of `small`.

    Attributes:
        name: Its name in `BUDGETS`.
        prompts: Name of the set of prompts that it is made for.
        mode: The mode of runs that name none.
        k: Texts of evidence per side of runs that name no number.
        first: The whole prompt in the first iteration.
        later: The whole prompt from the second iteration on (with draft and partner's summary).
        request: The request's share of a prompt.
        draft: The current draft's share of a prompt.
        smallest_share: Evidence that would get less is dropped, weakest first.
        own_share: Share of the evidence that is the user's own texts at most, 0 to 1, where other
            people's texts need the rest.
        own_words: Words of each own text at most; None: no limit but the prompt's.
        other_words: The same of each other text.
        summary: A summary.
        answer: A draft, by task; with `by_need` only where no length is expected.
        by_need: Whether the expected length of a draft is told and kept.
    """

    name: BudgetName = "small"
    prompts: BudgetName = "small"
    mode: Mode = "summaries"
    k: int = 4
    first: int = 300
    later: int = 400
    request: int = 110
    draft: int = 60
    smallest_share: int = 16
    own_share: float = 0.5
    own_words: int | None = None
    other_words: int | None = None
    summary: int = 48
    answer: Mapping[str, int] = field(
        default_factory=lambda: {"long": 100, "short": 24, "rating": 8, "free": 100}
    )
    by_need: bool = False

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change with any of the limits."""
        said = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha1(said.encode()).hexdigest()[:12]

    def within(self, window: int) -> Budget:
        """Return this budget with prompts of at most half a context window.

        Args:
            window: Tokens of prompt and answer together.
        """
        most = window // 2
        if self.later <= most and self.first <= most:
            return self
        return replace(
            self,
            first=min(self.first, most),
            later=min(self.later, most),
            request=min(self.request, most // 2),
            draft=min(self.draft, most // 4),
        )


BUDGETS: Mapping[BudgetName, Budget] = {
    budget.name: budget
    for budget in (
        Budget(),
        Budget(
            name="medium",
            prompts="medium",
            mode="own_quoted",
            k=5,
            first=1_500,
            later=1_500,
            request=500,
            draft=300,
            smallest_share=40,
            own_share=0.6,
            own_words=130,
            other_words=110,
            summary=90,
            answer={"long": 300, "short": 40, "rating": 16, "free": 600},
            by_need=True,
        ),
        Budget(
            name="large",
            prompts="large",
            mode="own_quoted",
            k=8,
            first=6_000,
            later=6_000,
            request=2_000,
            draft=1_500,
            smallest_share=60,
            own_share=0.6,
            own_words=300,
            other_words=300,
            summary=200,
            answer={"long": 1_000, "short": 40, "rating": 16, "free": 2_000},
            by_need=True,
        ),
    )
}
"""All budgets by name, the smallest first."""

SMALL_BELOW = 400_000_000
"""Parameters from which a model follows the prompts of `medium`."""

MEDIUM_UP_TO = 3_000_000_000
"""Parameters up to which a CPU's time, not the model, limits the prompts."""


class ModelFacts(Protocol):
    """What a budget is chosen by; `ChatRole` has it."""

    @property
    def parameters(self) -> int | None:
        """Parameters of a model that is loaded in this process."""

    @property
    def device(self) -> str | None:
        """Where it is loaded, such as `cpu`."""

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together, if known."""


@dataclass(frozen=True)
class KnownModel:
    """The facts of a model that is not loaded; see `ModelFacts`."""

    parameters: int | None = None
    device: str | None = None
    window: int | None = None


def choose_budget(setting: str, models: Iterable[ModelFacts]) -> Budget:
    """Return the budget for some models.

    Args:
        setting: Name of a budget, or `auto`: `small` for a local model of less than 0.4 billion
            parameters, `medium` for one of up to 3 billion on a CPU, `large` for any other one and
            for those of servers. Several models share the smallest of theirs.
        models: The models of the roles; the smallest known window limits the prompts.

    Raises:
        ValueError: There is no such budget.
    """
    models = list(models)
    if setting == AUTO:
        order = list(BUDGETS)
        name = min(map(_fitting, models), key=order.index, default=order[0])
    elif (named := next((each for each in BUDGETS if each == setting), None)) is not None:
        name = named
    else:
        raise ValueError(f"no budget {setting!r}: name one of {', '.join((AUTO, *BUDGETS))}")
    windows = [model.window for model in models if model.window is not None]
    budget = BUDGETS[name]
    # The prompts of `small` have always been the same, whatever the window.
    return budget if name == "small" or not windows else budget.within(min(windows))


def _fitting(model: ModelFacts) -> BudgetName:
    if model.parameters is None:
        return "large"
    if model.parameters < SMALL_BELOW:
        return "small"
    on_cpu = (model.device or "cpu").startswith("cpu")
    return "medium" if on_cpu and model.parameters <= MEDIUM_UP_TO else "large"


@dataclass(frozen=True)
class Fitted:
    """Texts after cutting.

    Attributes:
        texts: The cut texts in their order, without the dropped ones.
        tokens: Tokens before cutting; of a text far beyond its room an estimate.
        kept_tokens: Tokens after cutting.
    """

    texts: tuple[str, ...]
    tokens: int
    kept_tokens: int

    @property
    def cut_share(self) -> float:
        """Share of the tokens that was cut, 0 to 1."""
        return 1 - self.kept_tokens / self.tokens if self.tokens else 0.0


CHARACTERS_A_TOKEN = 16
"""Characters for a token of room up to which a text is counted whole; English has four or five."""

SHORTEST_COUNTED = 8_192
"""Characters that are counted in any case."""


def count_up_to(text: str, tokens: int, count: Count) -> int:
    """Return a text's tokens: counted where it may fit, estimated from its front where it can't.

    Args:
        text: The text.
        tokens: The room for it.
        count: Counts the tokens of a text.
    """
    front, counted = _front(text, tokens, count)
    return counted if len(front) == len(text) else round(counted * len(text) / len(front))


def _front(text: str, tokens: int, count: Count) -> tuple[str, int]:
    """Return the text, or a front of it with more than `tokens` tokens, and the tokens of that.

    What lies behind can't be shown, so it is never counted: the time goes by the room.
    """
    length = max(SHORTEST_COUNTED, CHARACTERS_A_TOKEN * tokens)
    while (counted := count(front := text[:length])) <= tokens and length < len(text):
        length *= 2
    return front, counted


def cut(text: str, tokens: int, count: Count) -> str:
    """Return as many whole words from the start of `text` as fit into `tokens`.

    A word is cut only if not even the first one fits: a script without spaces is one word.
    """
    front, counted = _front(text, tokens, count)
    if counted <= tokens:
        return text
    # A word has at least half a token in any tokenizer, so longer prefixes can be skipped.
    words = list(islice(re.finditer(r"\S+", front), max(1, 2 * tokens)))
    if not words:
        return ""
    first = words[0]
    ends = [word.end() for word in words[: 2 * tokens]]
    return _longest(front, ends, tokens, count) or _longest(
        front, range(first.start() + 1, first.end()), tokens, count
    )


def _longest(text: str, ends: Sequence[int], tokens: int, count: Count) -> str:
    """Return the longest prefix that fits and ends at one of `ends`, by bisection."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[: ends[middle - 1]]) <= tokens:
            low = middle
        else:
            high = middle - 1
    return text[: ends[low - 1]] if low else ""


def shares(sizes: Sequence[int], room: int) -> list[int]:
    """Divide `room` tokens among texts: equal shares, none larger than its text.

    >>> shares([10, 100, 100], 90)
    [10, 40, 40]
    """
    given = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for place, i in enumerate(order):
        given[i] = min(sizes[i], room // (len(sizes) - place))
        room -= given[i]
    return given


def _too_small(sizes: Sequence[int], room: int, smallest_share: int) -> bool:
    given = shares(sizes, room)
    return any(share < min(smallest_share, size) for share, size in zip(given, sizes, strict=True))


def fit(
    texts: Sequence[str], room: int, smallest_share: int, count: Count, *, around: int = 0
) -> Fitted:
    """Cut texts to equal shares of `room`; drop the last ones if the shares would be too small.

    Args:
        texts: Strongest first.
        room: Tokens for all of them.
        smallest_share: A text whose equal share is below this is dropped, weakest first, unless it
            is shorter than that.
        count: Counts the tokens of a text.
        around: Tokens of the frame around each text (dash, delimiters).
    """
    sizes = [count_up_to(text, room, count) for text in texts]
    tokens = sum(sizes)
    if tokens + around * len(texts) <= room:
        return Fitted(tuple(texts), tokens, tokens)
    keep = len(texts)
    while keep and _too_small(sizes[:keep], room - around * keep, smallest_share):
        keep -= 1
    given = shares(sizes[:keep], room - around * keep)
    fitted = tuple(cut(text, share, count) for text, share in zip(texts[:keep], given, strict=True))
    return Fitted(fitted, tokens, sum(count(text) for text in fitted))
