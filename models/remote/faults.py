"""Read the faults and the answers of remote servers, whatever their SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from ..answers import (
    LEFT_OUT,
    REASONING,
    ends_unmarked,
    finish_reason,
    read_answer,
    visible_content,
)
from ..local.sampling import BASE, Sampling
from .server import Server, memory_of

_MAY_PASS = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_LONGEST_MESSAGE = 300


class CutOffError(Exception):
    """A stream that ended without an error before the answer was complete."""


@dataclass(frozen=True)
class Fault:
    """One failed attempt.

    Attributes:
        says: The error in one line.
        status: HTTP status; None where there was no whole answer.
        retry_after_s: Pause that the server asks for, in seconds; None: none.
        param: The parameter that the server names as wrong.
        misused: Whether the SDK has no such argument; nothing was sent.
        unfit: Whether the SDK did not like a value: of an argument, or in the answer.
    """

    says: str
    status: int | None = None
    retry_after_s: float | None = None
    param: str | None = None
    misused: bool = False
    unfit: bool = False

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        if self.misused:
            return False
        return self.status is None or self.status in _MAY_PASS or self.status >= 500

    @property
    def about_call(self) -> bool:
        """Whether it may be about an option of the call."""
        refusals = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
        return self.misused or self.unfit or self.status in refusals

    @property
    def nowhere(self) -> bool:
        """Whether nothing answers at this address."""
        return self.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)

    @property
    def busy(self) -> bool:
        """Whether the server is healthy but overloaded."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS

    def denies(self, model: str) -> bool:
        """Whether the server says that it has no such model."""
        # vLLM answers 404, transformers' server 400 with the name of the model.
        named = self.status == HTTPStatus.BAD_REQUEST and model in self.says
        return named or self.status == HTTPStatus.NOT_FOUND


def read_fault(error: Exception) -> Fault:
    """Read the fault from an SDK's error.

    Errors without an HTTP status (no connection, a reset, half an answer, an unreadable one) count
    as transient: SDKs raise all kinds of them, and a retry does no harm. A `TypeError` is final:
    the SDK has no such argument.
    """
    causes = list(_causes(error))
    for cause in causes:
        if (status := _status(cause)) is not None:
            headers = getattr(getattr(cause, "response", None), "headers", None) or {}
            retry_after = _seconds(headers.get("retry-after"))
            return Fault(_words(cause), status, retry_after, _param(cause))
    if isinstance(error, TypeError):
        return Fault(_one_line(f"TypeError: {error}"), misused=True)
    if isinstance(error, CutOffError):
        return Fault(str(error))
    root = causes[-1]
    says = _one_line(f"{type(root).__name__}: {root}")
    return Fault(says, unfit=isinstance(error, ValueError))


def _status(error: BaseException) -> int | None:
    """Return the HTTP status in an error; None if it holds no refusal. SDKs keep it apart."""
    response = getattr(error, "response", None)
    found = (
        getattr(error, "status_code", None),  # OpenAI, Anthropic, Ollama
        getattr(error, "code", None),  # Google
        getattr(response, "status_code", None),  # Mistral, by httpx
    )
    return next((code for code in found if isinstance(code, int) and 400 <= code < 600), None)


def _words(error: BaseException) -> str:
    said = str(error)
    body = getattr(error, "body", None)
    if " - " not in said and body:  # an error body unlike OpenAI's: FastAPI's, a proxy's
        said = f"{said} - {body}"
    return _one_line(said)


def _param(error: BaseException) -> str | None:
    """Return the parameter that an error of OpenAI's API names."""
    body = getattr(error, "body", None)
    param = body.get("param") if isinstance(body, Mapping) else None
    return param if isinstance(param, str) else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__  # HTTP clients hide the cause


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}..."


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After header: seconds, or a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:  # neither: ignored
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


@dataclass(frozen=True)
class Reader:
    """Reads the answers of a call.

    Attributes:
        server: The server.
        sampling: The options of the call.
        left_out: Options that were not sent, and why.
    """

    server: Server
    sampling: Sampling
    left_out: Mapping[str, str]

    def whole_answer(self, message: AIMessage) -> ChatResult:
        """Return an answer with its text, token counts, model and adapter."""
        text, info = self._read(message)
        plain = AIMessage(text, usage_metadata=message.usage_metadata)
        return ChatResult(generations=[ChatGeneration(message=plain, generation_info=info)])

    def end_of_answer(self, chunks: Sequence[AIMessageChunk]) -> tuple[ChatGenerationChunk, str]:
        """Return the last, empty chunk of a streamed answer, and the whole text.

        The chunk has the metadata of `whole_answer`.
        """
        whole = _joined(chunks)
        text, info = self._read(whole)
        usage = whole.usage_metadata
        end = AIMessageChunk(content="", usage_metadata=usage, chunk_position="last")
        return ChatGenerationChunk(message=end, generation_info=info), text

    def _read(self, message: AIMessage) -> tuple[str, dict[str, Any]]:
        """Return the text without reasoning, and what is known of the answer."""
        memory = memory_of(self.server)
        answer = read_answer(message)
        if ends_unmarked(visible_content(message.content)):
            memory.unmarked = True
        elif not answer.cut:
            memory.unmarked = False
        elif memory.unmarked and not answer.reasoning_removed:
            # It was cut before its reasoning ended.
            answer = replace(answer, text="", reasoning_removed=True)
        metadata = message.response_metadata
        info = {name: value for name, value in metadata.items() if name != "logprobs"}
        info |= {"model_name": self.server.model, "adapter": self.sampling.adapter or BASE}
        told = {
            "finish_reason": answer.finish_reason,
            REASONING: answer.reasoning_removed,
            LEFT_OUT: dict(self.left_out),
        }
        info |= {name: value for name, value in told.items() if value}
        tokens = (metadata.get("logprobs") or {}).get("content")
        if self.sampling.capture and tokens:
            info["logprobs"] = [float(token["logprob"]) for token in tokens]
        return answer.text, info


def check_ended(chunks: Sequence[AIMessageChunk], server: Server) -> None:
    """Check that a stream of OpenAI's API is complete.

    A connection that is closed without an error looks like the end of the answer.

    Raises:
        CutOffError: No chunk says why the answer ended.
    """
    told = [chunk.response_metadata for chunk in chunks]
    ended = any(finish_reason(each) for each in told)
    if server.speaks_openai and not ended:
        raise CutOffError("the stream ended without a finish reason")


def _joined(chunks: Sequence[AIMessageChunk]) -> AIMessageChunk:
    first, *rest = chunks
    return first + rest if rest else first
