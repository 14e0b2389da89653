"""Language models that answer at once, by rules that a test can predict.

Named by dotted path where a process of its own has to open one:
`PATLM_MODEL=python:tests.fake_models:word_by_word`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from patlm.nodes.prompts import PREFERENCE, STYLE

STYLE_FIRST = "Short and warm."
STYLE_LATER = "Long winding sentences; semicolons; old words; never an exclamation mark."
PREFERENCE_SAYS = "They praise the warmth and grumble about the price."
DRAFT = "Warm from the first night on, and I would buy it again!"
DRAFT_LATER = "It has kept the frost from my bones; I commend it, the price notwithstanding."
TITLE = "Warm at last"
RATING = "4"

BROKEN = "refuse-this-request"
"""A request that holds this word is one that the model refuses, for good."""


class WordByWord(BaseChatModel):
    """Answers by role and task, and streams its answer word by word.

    From the second iteration on the style summary changes, and the draft with it, so that the loop
    does not settle and each iteration can be told apart.
    """

    model_name: str = "word-by-word"

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(answer(messages)))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for word in answer(messages).split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(f"{word} "))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop):
            await asyncio.sleep(0)  # as a real model does, it lets others run between tokens
            yield chunk


def answer(messages: Sequence[BaseMessage]) -> str:
    """Return what the fake says to a prompt."""
    system, user = str(messages[0].text), str(messages[-1].text)
    if BROKEN in user:
        raise ValueError(f"no answer to {BROKEN}")
    if system == STYLE.system:
        return STYLE_LATER if "Draft so far" in user else STYLE_FIRST
    if system == PREFERENCE.system:
        return PREFERENCE_SAYS
    if "one number from 1" in user:
        return RATING
    if "Write that title" in user:
        return TITLE
    return DRAFT_LATER if STYLE_LATER in user else DRAFT


def word_by_word() -> WordByWord:
    """Return the fake; factories are what a dotted path may name."""
    return WordByWord()
