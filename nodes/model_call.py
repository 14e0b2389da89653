"""Call the language model of a role, and record the call for the trace."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..models.errors import CallRefused, ModelClosed, ModelNotFound, ModelUnusable, RemoteFailed
from ..models.local.sampling import BASE
from .errors import LoopError, ModelCallError
from .node import Turn
from .prompts.build import Prompt

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

FINAL = (
    ValueError,
    TypeError,
    NotImplementedError,
    CallRefused,
    ModelClosed,
    ModelNotFound,
    ModelUnusable,
    RemoteFailed,  # the model has retried already
)
"""Errors of a model that a retry can't fix."""

_SAMPLING = (*("temperature", "top_p", "seed", "max_tokens", "min_tokens", "no_repeat_ngram_size"),)
_CAPTURED = ("prompt_token_ids", "token_ids", "logprobs")


async def call_model(
    turn: Turn, role: str, prompt: Prompt, *, max_tokens: int, **options: Any
) -> tuple[str, dict[str, Any]]:
    """Ask the model of a role and return its answer with the call's record.

    The record holds the fields of a `Sample` that a call decides; token ids and log-probabilities
    are None where the run does not capture, or the model does not give them.

    Args:
        turn: The node's turn.
        role: The role whose model is called.
        prompt: The prompt.
        max_tokens: Maximum length of the answer.
        options: Options of this call; they override the role's options of the same names.

    Raises:
        ModelCallError: The model failed; transient unless it refused the call.
    """
    chat = turn.parts.role(role)
    captured = turn.parts.capture and chat.base is not None
    given = {**chat.options, **_serving_options(turn, role)}
    given |= {"max_tokens": max_tokens, **({"capture": True} if captured else {}), **options}
    call: dict[str, Any] = {
        "role": role,
        "model": chat.name,
        "base": chat.base,
        "adapter": given.get("adapter", BASE),
        "messages": [{"role": who, "content": content} for who, content in prompt.messages],
        "sampling": _sampling(given),
    }
    begin = time.perf_counter()
    try:
        answer = await chat.model.ainvoke(prompt.messages, **given)
    except (LoopError, TimeoutError):
        raise
    # The boundary to foreign code: a model may raise any error.
    except Exception as error:  # noqa: BLE001
        transient = not isinstance(error, FINAL)
        call["seconds"] = time.perf_counter() - begin
        raise ModelCallError(role, chat.name, error, transient=transient, call=call) from error
    text = str(answer.text).strip()
    return text, {
        **call,
        "adapter": answer.response_metadata.get("adapter", BASE),
        "text": text,
        **_written(answer.response_metadata, captured=captured),
        **_counted(answer),
        "seconds": time.perf_counter() - begin,
    }


def _sampling(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the sampling settings; None if the model chooses them, so they are unknown."""
    if "temperature" not in options:
        return None
    return {name: options[name] for name in _SAMPLING if name in options}


def _written(metadata: Mapping[str, Any], *, captured: bool) -> dict[str, Any]:
    """Return what the model reports about its answer.

    Only a model that was asked to capture is trusted: others use the same names differently.
    """
    reason = metadata.get("finish_reason")
    told = {name: metadata.get(name) if captured else None for name in _CAPTURED}
    return {"finish_reason": reason if isinstance(reason, str) else None, **told}


def _counted(answer: AIMessage) -> dict[str, int | None]:
    """Return the tokens that the model reports for a call; None where it reports none."""
    usage = answer.usage_metadata
    return {
        "tokens_in": usage["input_tokens"] if usage else None,
        "tokens_out": usage["output_tokens"] if usage else None,
    }


def _serving_options(turn: Turn, role: str) -> dict[str, Any]:
    """Return the options that only models of this project accept: the role and its adapter."""
    if not turn.parts.role(role).takes_adapters:
        return {}
    name = turn.adapters.get(role, BASE)
    if name == BASE:
        return {"role": role}
    return {"role": role, "adapter": name, "adapter_fallback": turn.context.adapter_fallback}
