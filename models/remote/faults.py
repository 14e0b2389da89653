"""Read the faults and the answers of remote servers, whatever their SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Protocol, runtime_checkable

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from ..local.sampling import BASE, Sampling
from .server import Server

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
    """

    says: str
    status: int | None = None
    retry_after_s: float | None = None

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status is None or self.status in _MAY_PASS or self.status >= 500

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
    as transient: SDKs raise all kinds of them, and a retry does no harm.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, _Answered):
            retry_after = cause.response.headers.get("retry-after")
            return Fault(_words(cause), cause.status_code, _seconds(retry_after))
    if isinstance(error, CutOffError):
        return Fault(str(error))
    root = causes[-1]
    return Fault(_one_line(f"{type(root).__name__}: {root}"))


class _Response(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


@runtime_checkable
class _Answered(Protocol):
    """The errors of the SDKs of OpenAI, Anthropic and their kin where a server said no."""

    status_code: int
    response: _Response
    body: object | None


def _words(error: _Answered) -> str:
    said = str(error)
    if " - " not in said and error.body:  # an error body unlike OpenAI's: FastAPI's, a proxy's
        said = f"{said} - {error.body}"
    return _one_line(said)


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


def whole_answer(message: AIMessage, sampling: Sampling, model_name: str) -> ChatResult:
    """Return an answer with its text, token counts, model and adapter."""
    plain = AIMessage(str(message.text), usage_metadata=message.usage_metadata)
    info = _info(message.response_metadata, sampling, model_name)
    return ChatResult(generations=[ChatGeneration(message=plain, generation_info=info)])


def end_of_answer(
    chunks: Sequence[AIMessageChunk], sampling: Sampling, model_name: str
) -> ChatGenerationChunk:
    """Return the last, empty chunk of a streamed answer, with the metadata of `whole_answer`."""
    whole = _joined(chunks)
    end = AIMessageChunk(content="", usage_metadata=whole.usage_metadata, chunk_position="last")
    info = _info(whole.response_metadata, sampling, model_name)
    return ChatGenerationChunk(message=end, generation_info=info)


def check_ended(chunks: Sequence[AIMessageChunk], server: Server) -> None:
    """Check that a stream of OpenAI's API is complete.

    A connection that is closed without an error looks like the end of the answer.

    Raises:
        CutOffError: No chunk has a finish reason.
    """
    ended = any(chunk.response_metadata.get("finish_reason") for chunk in chunks)
    if server.speaks_openai and not ended:
        raise CutOffError("the stream ended without a finish reason")


def _joined(chunks: Sequence[AIMessageChunk]) -> AIMessageChunk:
    first, *rest = chunks
    return first + rest if rest else first


def _info(metadata: dict[str, Any], sampling: Sampling, model_name: str) -> dict[str, Any]:
    said = {name: value for name, value in metadata.items() if name != "logprobs"}
    info = {**said, "model_name": model_name, "adapter": sampling.adapter or BASE}
    tokens = (metadata.get("logprobs") or {}).get("content")
    if sampling.capture and tokens:
        info["logprobs"] = [float(token["logprob"]) for token in tokens]
    return info
