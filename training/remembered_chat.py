"""A chat model in front of another that asks it nothing twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from .answers import Answers

_NO_MATTER = ("role",)
"""Options that change no answer."""

_KEPT_METADATA = ("adapter", "finish_reason", "prompt_token_ids", "token_ids", "logprobs")


class RememberedChat(BaseChatModel):
    """Answers from what was answered before; calls that are alike and under way share one.

    Only for models whose answer follows from messages and options: greedy, or with a seed.

    Attributes:
        inner: The model that is asked where nothing is remembered.
        identity: Its weights and number format, and those of its adapters: where any of them
            changes, so does this.
    """

    inner: BaseChatModel
    identity: str
    _answers: Answers = PrivateAttr()
    _under_way: dict[str, asyncio.Future[dict[str, Any]]] = PrivateAttr(default_factory=dict)
    _asked: int = PrivateAttr(default=0)

    def __init__(self, inner: BaseChatModel, identity: str, answers: Answers) -> None:
        """Take the model and where its answers are kept."""
        super().__init__(inner=inner, identity=identity)
        self._answers = answers

    @property
    def _llm_type(self) -> str:
        return "remembered"

    @property
    def asked(self) -> int:
        """How often the model itself was asked."""
        return self._asked

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        raise NotImplementedError("only ainvoke: calls that are alike wait for each other")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        key = self._key(messages, stop, options)
        answer = self._answers.get(key)
        if answer is None:
            answer = await self._shared(key, messages, stop, options)
        message = AIMessage(answer["text"], response_metadata=answer["metadata"])
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _shared(
        self, key: str, messages: Sequence[BaseMessage], stop: list[str] | None, options: Any
    ) -> dict[str, Any]:
        """Ask the model, or wait for who asks the same; a call that fails does for all of them."""
        if (waiting := self._under_way.get(key)) is not None:
            return await asyncio.shield(waiting)
        waiting = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._ask(messages, stop, options)
            self._answers.put(key, answer)
        except BaseException as error:
            waiting.set_exception(error)
            waiting.exception()  # so that nobody is warned where nobody waits
            raise
        finally:
            del self._under_way[key]
        waiting.set_result(answer)
        return answer

    async def _ask(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: Any
    ) -> dict[str, Any]:
        self._asked += 1
        answer = await self.inner.ainvoke(list(messages), stop=stop, **options)
        metadata = answer.response_metadata
        kept = {name: metadata[name] for name in _KEPT_METADATA if name in metadata}
        return {"text": str(answer.text), "metadata": kept}

    def _key(self, messages: Sequence[BaseMessage], stop: list[str] | None, options: Any) -> str:
        said = [[message.type, str(message.text)] for message in messages]
        chosen = {name: options[name] for name in sorted(options) if name not in _NO_MATTER}
        whole = json.dumps([self.identity, said, stop, chosen], default=str)
        return hashlib.sha256(whole.encode()).hexdigest()
