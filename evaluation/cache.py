"""Cache of a benchmark: model answers on disk."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from ..models.answers import LEFT_OUT, REASONING, read_answer
from ..stores.files import make_folder, new_file
from .errors import EvaluationError


class AnswersLost(EvaluationError):
    """The cache of answers can't be read or written; cached answers are not lost."""

    code = "answers_lost"


class Answers:
    """Answers by key in one SQLite file that several processes may share.

    Args:
        file: Created if missing; None: in memory, for this process only.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        try:
            if file is not None:
                make_folder(file.parent)
                new_file(file)  # SQLite's other files get its mode
            self._table = sqlite3.connect(":memory:" if file is None else file, timeout=60)
            self._table.execute("PRAGMA journal_mode=WAL")
            self._table.execute("PRAGMA synchronous=NORMAL")
            self._table.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL)"
            )
        except (sqlite3.Error, OSError) as error:
            raise AnswersLost(self._say(error)) from error

    def get(self, key: str) -> dict[str, Any] | None:
        """Return an answer, or None.

        Raises:
            AnswersLost: The file can't be read.
        """
        try:
            row = self._table.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise AnswersLost(self._say(error)) from error
        return None if row is None else json.loads(row[0])

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Insert an answer; an existing one is not replaced.

        Raises:
            AnswersLost: The file can't be written.
        """
        try:
            with self._table:
                self._table.execute(
                    "INSERT OR IGNORE INTO answers VALUES (?, ?)",
                    (key, json.dumps(answer, ensure_ascii=False)),
                )
        except sqlite3.Error as error:
            raise AnswersLost(self._say(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._table.close()

    def _say(self, error: Exception) -> str:
        return (
            f"the cache of answers {self._file} can't be used: {error}; make room, or "
            "name another folder by --cache, and run again: finished items are not run again"
        )


_IGNORED = ("role",)
"""Options that do not change the answer."""

_KEPT_METADATA = ("adapter", "prompt_token_ids", "token_ids", "logprobs", REASONING, LEFT_OUT)


class RememberedChat(BaseChatModel):
    """A chat model that caches another model's answers; equal concurrent calls share one answer.

    Only for deterministic models: greedy, or with a seed.

    Attributes:
        inner: The model that answers calls that are not cached.
        identity: Identifies its weights, number format and adapters; part of the cache key.
    """

    inner: BaseChatModel
    identity: str
    _answers: Answers = PrivateAttr()
    _under_way: dict[str, asyncio.Future[dict[str, Any]]] = PrivateAttr(default_factory=dict)
    _asked: int = PrivateAttr(default=0)

    def __init__(self, inner: BaseChatModel, identity: str, answers: Answers) -> None:
        """Wrap a model with a cache of answers."""
        super().__init__(inner=inner, identity=identity)
        self._answers = answers

    @property
    def _llm_type(self) -> str:
        return "remembered"

    @property
    def asked(self) -> int:
        """Number of calls of the inner model."""
        return self._asked

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        raise NotImplementedError("only ainvoke is supported: equal calls wait for each other")

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
        message = AIMessage(
            answer["text"],
            response_metadata=answer["metadata"],
            usage_metadata=answer.get("usage"),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _shared(
        self, key: str, messages: Sequence[BaseMessage], stop: list[str] | None, options: Any
    ) -> dict[str, Any]:
        """Ask the model, or wait for an equal call; a failure is raised to all waiting callers."""
        if (waiting := self._under_way.get(key)) is not None:
            return await asyncio.shield(waiting)
        waiting = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._ask(messages, stop, options)
            self._answers.put(key, answer)
        except BaseException as error:
            waiting.set_exception(error)
            waiting.exception()  # otherwise asyncio warns that the exception was never retrieved
            raise
        finally:
            del self._under_way[key]
        waiting.set_result(answer)
        return answer

    async def _ask(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: Any
    ) -> dict[str, Any]:
        self._asked += 1
        message = await self.inner.ainvoke(list(messages), stop=stop, **options)
        answer, metadata = read_answer(message), message.response_metadata
        kept = {name: metadata[name] for name in _KEPT_METADATA if name in metadata}
        kept |= {"finish_reason": answer.finish_reason, REASONING: answer.reasoning_removed}
        return {"text": answer.text, "metadata": kept, "usage": message.usage_metadata}

    def _key(self, messages: Sequence[BaseMessage], stop: list[str] | None, options: Any) -> str:
        said = [[message.type, str(message.text)] for message in messages]
        chosen = {name: options[name] for name in sorted(options) if name not in _IGNORED}
        whole = json.dumps([self.identity, said, stop, chosen], default=str)
        return hashlib.sha256(whole.encode()).hexdigest()
