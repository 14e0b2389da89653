"""Language models and encoders that answer by a script, and say what they were asked.

`PATLM_MODEL=python:fakes:word_by_word`, with this folder on the path, names one for a process.
"""

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from patlm.nodes.budget import BUDGETS
from patlm.stores.types import Vectors
from pydantic import PrivateAttr

ROLE_OF_BEGINNING = {
    "You describe how people write and": "merged",
    "You describe how people write, and": "merged",
    "You describe how people write": "style",
    "You sum up": "preference",
    "You write": "integrate",
    "You are a ghostwriter": "integrate",
}
"""The role of a call by how its system turn begins, in all sets of prompts."""


def role_of(system: str) -> str:
    """Return the role that is asked; `other` for trajectories that a test adds."""
    found = (role for words, role in ROLE_OF_BEGINNING.items() if system.startswith(words))
    return next(found, "other")


@dataclass(frozen=True)
class Asked:
    """One call as the model saw it; `number` counts the calls of its role from 1."""

    role: str
    number: int
    system: str
    user: str
    turns: tuple[str, ...]
    options: Mapping[str, Any]


Say = str | Sequence[str] | Callable[[Asked], str]
Fault = Callable[[Asked], BaseException | None]


class RecordingChat(BaseChatModel):
    """Remembers what it was asked."""

    _asked: list[Asked] = PrivateAttr(default_factory=list)

    @property
    def asked(self) -> list[Asked]:
        """All calls in order, failed ones too."""
        return self._asked

    def asked_of(self, role: str) -> list[Asked]:
        """The calls of one role."""
        return [asked for asked in self._asked if asked.role == role]

    def _remember(self, messages: list[BaseMessage], options: Mapping[str, Any]) -> Asked:
        system, user = str(messages[0].text), str(messages[-1].text)
        role = role_of(system)
        number = len(self.asked_of(role)) + 1
        turns = tuple(message.type for message in messages)
        asked = Asked(role, number, system, user, turns, dict(options))
        self._asked.append(asked)
        return asked


class ScriptedChat(RecordingChat):
    """Says what the script has for a role.

    Attributes:
        says: By role: one answer, the answers to its calls in order (the last one stays), or a
            function of what was asked.
        fault: What a call raises instead of answering, or None.
        slow_s: Seconds a call takes.
    """

    says: Mapping[str, Any] = {
        "style": "Short and plain.",
        "preference": "They like the view.",
        "integrate": "A fine view.",
    }
    fault: Any = None
    slow_s: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        message = AIMessage(self._answer(messages, options))
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        answer = self._answer(messages, options)
        await asyncio.sleep(self.slow_s)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(answer))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for word in self._answer(messages, options).split(" "):
            await asyncio.sleep(self.slow_s)
            yield ChatGenerationChunk(message=AIMessageChunk(f"{word} "))

    def _answer(self, messages: list[BaseMessage], options: Mapping[str, Any]) -> str:
        asked = self._remember(messages, options)
        if self.fault is not None and (error := self.fault(asked)) is not None:
            raise error
        say: Say = self.says.get(asked.role, "Nothing special.")
        if isinstance(say, str):
            return say
        return say(asked) if callable(say) else say[min(asked.number, len(say)) - 1]


def fails(
    error: BaseException, *, role: str | None = None, calls: Sequence[int] | None = None
) -> Fault:
    """Return a fault: every call of the role (or only the calls of these numbers) raises."""

    def fault(asked: Asked) -> BaseException | None:
        hit = role in (None, asked.role) and (calls is None or asked.number in calls)
        return error if hit else None

    return fault


class TableEncoder:
    """Knows the vector of each text that a test uses, and no other."""

    def __init__(self, vectors: Mapping[str, Sequence[float]]) -> None:
        self._vectors = vectors
        self.version, self.dimension = "table", len(next(iter(vectors.values())))
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.seen.extend(texts)
        return np.array([self._vectors[text] for text in texts], np.float32)


def at_angle(cosine: float) -> tuple[float, float]:
    """Return the unit vector in the plane whose cosine to (1, 0) is given."""
    return cosine, math.sqrt(1 - cosine * cosine)


def words(text: str) -> int:
    """Count tokens as words: prompts' arithmetic by hand."""
    return len(text.split())


NAME = "word-by-word"

STYLE_FIRST = "Short and warm."
STYLE_LATER = "Long winding sentences; semicolons; old words; never an exclamation mark."
PREFERENCE_SAYS = "They praise the warmth and grumble about the price."
DRAFT = "Warm from the first night on, and I would buy it again!"
DRAFT_LATER = "It has kept the frost from my bones; I commend it, the price notwithstanding."
TITLE = "Warm at last"
RATING = "4"

BROKEN = "refuse-this-request"
"""A request that holds this word is one that the model refuses, for good."""


class WordByWord(ScriptedChat):
    """Answers by role and task; another iteration brings another style summary and draft.

    So the loop does not settle, and its iterations can be told apart.
    """

    model_name: str = NAME


def word_by_word() -> WordByWord:
    """Return the model; a factory is what a dotted path names."""
    says = {"style": _style, "preference": PREFERENCE_SAYS, "integrate": _draft}
    return WordByWord(says=says, fault=_refusal)


def _style(asked: Asked) -> str:
    return STYLE_LATER if DRAFT in asked.user else STYLE_FIRST


def _draft(asked: Asked) -> str:
    # The task shows in how long the answer may be, whatever the prompts' wording.
    def is_task(task: str) -> bool:
        limits = {budget.answer[task] for budget in BUDGETS.values()}
        return asked.options["max_tokens"] in limits

    if is_task("rating"):
        return RATING
    if is_task("short"):
        return TITLE
    return DRAFT_LATER if STYLE_LATER in asked.user else DRAFT


def _refusal(asked: Asked) -> ValueError | None:
    return ValueError(f"no answer to {BROKEN}") if BROKEN in asked.user else None


def scripted() -> ScriptedChat:
    """Return a model with the usual answers of each role."""
    return ScriptedChat()


def refusing() -> ScriptedChat:
    """Return a model that refuses every call."""
    return ScriptedChat(fault=fails(ValueError("out of\nwords")))


class MessageChat(RecordingChat):
    """Gives whole messages, in order; the last one stays. Streams them letter by letter.

    Attributes:
        messages: By role, or one list for all of them.
    """

    messages: Any

    @property
    def _llm_type(self) -> str:
        return "message"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages, options))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        whole = self._next(messages, options)
        for piece in whole.content:
            content = piece if isinstance(whole.content, str) else [piece]
            yield ChatGenerationChunk(message=AIMessageChunk(content))  # type: ignore[arg-type]
        end = AIMessageChunk("", response_metadata=whole.response_metadata)
        yield ChatGenerationChunk(message=end)

    def _next(self, messages: list[BaseMessage], options: Mapping[str, Any]) -> AIMessage:
        asked = self._remember(messages, options)
        number = asked.number
        says = (
            self.messages.get(asked.role, [])
            if isinstance(self.messages, Mapping)
            else self.messages
        )
        said: AIMessage = (
            says[min(number, len(says)) - 1] if says else AIMessage("Nothing special.")
        )
        return said.model_copy()


class WhereEncoder:
    """Notes the thread in which it encodes."""

    version, dimension = "where", 2

    def __init__(self) -> None:
        self.threads: list[int] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.threads.append(threading.get_ident())
        return np.zeros((len(texts), 2), np.float32)


class QuickEncoder(WhereEncoder):
    """Is quick with up to ten characters."""

    def is_quick(self, texts: Sequence[str]) -> bool:
        return sum(map(len, texts)) <= 10
