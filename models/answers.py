"""Convert completions to LangChain's chat results and chunks."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from .local.rows import Completion
from .local.sampling import BASE


def whole_answer(completion: Completion, model_name: str) -> ChatResult:
    """Return one message with token counts, finish reason and model name."""
    message = AIMessage(completion.text, usage_metadata=_usage(completion))
    info = _info(completion, model_name)
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)])


def piece_of_answer(text: str) -> ChatGenerationChunk:
    """Return the next piece of a streamed answer."""
    return ChatGenerationChunk(message=AIMessageChunk(content=text))


def end_of_answer(completion: Completion, model_name: str) -> ChatGenerationChunk:
    """Return the last, empty chunk of a streamed answer, with the metadata of `whole_answer`.

    Only the last chunk has metadata: LangChain adds chunks and would concatenate the names.
    """
    message = AIMessageChunk(content="", usage_metadata=_usage(completion), chunk_position="last")
    return ChatGenerationChunk(message=message, generation_info=_info(completion, model_name))


def _info(completion: Completion, model_name: str) -> dict[str, Any]:
    info: dict[str, Any] = {
        "finish_reason": completion.finish_reason,
        "model_name": model_name,
        "adapter": completion.adapter or BASE,
    }
    if completion.logprobs is not None:
        info |= {
            "prompt_token_ids": list(completion.prompt_ids),
            "token_ids": list(completion.token_ids),
            "logprobs": list(completion.logprobs),
        }
    return info


def _usage(completion: Completion) -> UsageMetadata:
    prompt, new = len(completion.prompt_ids), len(completion.token_ids)
    return UsageMetadata(input_tokens=prompt, output_tokens=new, total_tokens=prompt + new)
