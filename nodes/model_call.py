"""One call of a language model by a node, and its record for the trace."""

from __future__ import annotations

import time
from typing import Any

from ..models.errors import (
    CallRefused,
    ModelClosed,
    ModelNotFound,
    ModelUnusable,
    RemoteFailed,
)
from ..models.sampling import BASE
from .errors import LoopError, ModelCallError
from .prompts import Prompt
from .turn import Turn

FINAL = (
    ValueError,
    TypeError,
    NotImplementedError,
    CallRefused,
    ModelClosed,
    ModelNotFound,
    ModelUnusable,
    RemoteFailed,  # it has been asked again as often as that helps
)
"""What a model raises where calling again as before can't help."""


async def call_model(
    turn: Turn, role: str, prompt: Prompt, *, max_tokens: int
) -> tuple[str, dict[str, Any]]:
    """Ask the model of a role and return its answer with the call's record.

    Args:
        turn: The node's turn.
        role: Which model to ask.
        prompt: What to ask.
        max_tokens: Length of the answer at most.

    Raises:
        ModelCallError: The model failed; transient unless it refused the call itself.
    """
    chat = turn.parts.role(role)
    options = {**chat.options, **_serving_options(turn, role)}
    begin = time.perf_counter()
    try:
        answer = await chat.model.ainvoke(prompt.messages, max_tokens=max_tokens, **options)
    except (LoopError, TimeoutError):
        raise
    # The boundary to foreign code: any model may raise anything.
    except Exception as error:  # noqa: BLE001
        transient = not isinstance(error, FINAL)
        raise ModelCallError(role, chat.name, error, transient=transient) from error
    text = str(answer.text).strip()
    return text, {
        "role": role,
        "model": chat.name,
        "adapter": answer.response_metadata.get("adapter", BASE),
        "messages": [{"role": who, "content": content} for who, content in prompt.messages],
        "text": text,
        "seconds": time.perf_counter() - begin,
    }


def _serving_options(turn: Turn, role: str) -> dict[str, Any]:
    """Return what only models of this project know: the role, and its adapter."""
    if not turn.parts.role(role).takes_adapters:
        return {}
    name = turn.adapters.get(role, BASE)
    if name == BASE:
        return {"role": role}
    return {"role": role, "adapter": name, "adapter_fallback": turn.context.adapter_fallback}
