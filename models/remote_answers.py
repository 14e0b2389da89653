"""Dress what a remote server gave as the answers of a local model are dressed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from .remote_faults import CutOffError
from .remote_server import Server
from .sampling import BASE, Sampling


def whole_answer(message: AIMessage, sampling: Sampling, model_name: str) -> ChatResult:
    """Return an answer with its text, token counts, and who gave it."""
    plain = AIMessage(str(message.text), usage_metadata=message.usage_metadata)
    info = _info(message.response_metadata, sampling, model_name)
    return ChatResult(generations=[ChatGeneration(message=plain, generation_info=info)])


def end_of_answer(
    chunks: Sequence[AIMessageChunk], sampling: Sampling, model_name: str
) -> ChatGenerationChunk:
    """Return the last, empty chunk of a streamed answer; it carries what `whole_answer` would."""
    whole = _joined(chunks)
    end = AIMessageChunk(content="", usage_metadata=whole.usage_metadata, chunk_position="last")
    info = _info(whole.response_metadata, sampling, model_name)
    return ChatGenerationChunk(message=end, generation_info=info)


def check_ended(chunks: Sequence[AIMessageChunk], server: Server) -> None:
    """See to it that a stream of OpenAI's API came to its end.

    A connection that is closed in good order looks like an end, and half an answer like a whole.

    Raises:
        CutOffError: No chunk says why the answer is finished.
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
