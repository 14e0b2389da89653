"""Errors of a run of the loop, and what each one means to the caller.

`LoopError` is the base. Every message says what was expected, what came and what to do:

- `RequestError`: the request is not valid. Never retried.
- `DeadlineError`: the deadline of the run passed. Never retried; the graph's error handler returns
  the best draft so far, or raises the error if there is none.
- `ModelCallError`: a language model failed. Retried while `transient`.
- `PromptError`: the wording of a prompt can't be used. Never retried.
- `RunFailedError`: the run failed without a draft.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LoopError(RuntimeError):
    """Base of all errors of a run.

    A RuntimeError, because LangGraph's server passes on the messages of built-in errors only; for
    all others its clients read "An internal error occurred".
    """


class RequestError(LoopError):
    """The request or its context is not valid, or a text that is to be kept.

    Attributes:
        field: Name of the field at fault; "" where it is none.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class DeadlineError(LoopError):
    """A node would pass the run's deadline."""

    def __init__(self, node: str, deadline_s: float) -> None:
        super().__init__(
            f"the deadline of {deadline_s:g} s passed in {node} before there was a draft: "
            "raise deadline_s or take a faster model"
        )
        self.node = node


class ModelCallError(LoopError):
    """A call of a language model failed.

    Attributes:
        transient: Whether a retry may help.
        call: The call as the run's record keeps it.
    """

    def __init__(
        self,
        role: str,
        model: str,
        cause: Exception,
        *,
        transient: bool,
        call: Mapping[str, Any] | None = None,
    ) -> None:
        why = f"{type(cause).__name__}: {cause}"
        super().__init__(f"the {role} model {model!r} failed: {why}")
        self.transient = transient
        self.call = {**(call or {"role": role, "model": model}), "error": why}


class PromptError(LoopError):
    """The wording of a prompt, a file, can't be used."""


class RunFailedError(LoopError):
    """A run ended without a draft."""
