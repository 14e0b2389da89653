"""What can go wrong in a run of the loop, and what each error means to its caller.

`LoopError` is the base. Every message says what was expected, what came and what to do:

- `RequestError`: the request can't be answered as it stands. Never retried.
- `DeadlineError`: the run's time is spent. Never retried; the graph's error handler turns it into
  the best draft so far, or lets it through where there is none.
- `ModelCallError`: a language model failed. Retried while `transient`.
- `RunFailedError`: what the caller sees when nothing could be saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LoopError(RuntimeError):
    """Base of all errors of a run.

    A RuntimeError, because LangGraph's server tells its clients the messages of built-in kinds of
    error only; of all others it says "An internal error occurred".
    """


class RequestError(LoopError):
    """The request or its context is not usable."""


class DeadlineError(LoopError):
    """A node would have passed the run's deadline."""

    def __init__(self, node: str, deadline_s: float) -> None:
        super().__init__(
            f"the deadline of {deadline_s:g} s passed in {node} before there was a draft: "
            "raise deadline_s or take a faster model"
        )
        self.node = node


class ModelCallError(LoopError):
    """A language model's call failed.

    Attributes:
        transient: Whether calling again may help.
        call: What was asked, as the run's record keeps it.
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


class RunFailedError(LoopError):
    """A run ended without a draft."""
