"""Errors of a run of the loop, and what each one means to the caller.

`LoopError` is the base. Every message says what was expected, what came and what to do, and
`code` is a stable name of the kind of error for programs:

- `RequestError`: the request is not valid. Never retried.
- `DeadlineError`: the deadline of the run passed. Never retried; the graph's error handler returns
  the best draft so far, or raises the error if there is none.
- `ModelCallError`: a language model failed. Retried while `transient`.
- `PromptError`: the wording of a prompt can't be used. Never retried.
- `EmptyAnswerError`: a language model answered nothing, also with twice the tokens. Never retried.
- `RunFailedError`: the run failed without a draft.
- `SettingsError`: a setting, keyword or role that does not exist. Never retried.

`RequestError` is a ValueError, too, as all errors of wrong arguments are: commands exit with 2.
`SettingsError` can't be one: pydantic, whose validators raise it, would swallow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ..stores.errors import CodedError, shortened

if TYPE_CHECKING:
    from ..models.answers import ModelAnswer


class LoopError(CodedError):
    """Base of all errors of a run."""

    code = "loop_failed"


class RequestError(LoopError, ValueError):
    """The request or its context is not valid, or a text that is to be kept.

    Attributes:
        field: Name of the field at fault; "" where it is none.
    """

    code = "invalid_request"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class DeadlineError(LoopError):
    """A node would pass the run's deadline.

    Attributes:
        node: Its name.
        with_draft: The message where an earlier iteration left a draft, which is given back.
    """

    code = "deadline"

    def __init__(self, node: str, deadline_s: float) -> None:
        super().__init__(
            f"the deadline of {deadline_s:g} s passed in {node} before there was a draft: "
            "raise deadline_s or take a faster model"
        )
        self.node = node
        self.with_draft = (
            f"the deadline of {deadline_s:g} s passed in {node}: the best draft until then is "
            "given back; for more iterations raise deadline_s or take a faster model"
        )


class ModelCallError(LoopError):
    """A call of a language model failed.

    Attributes:
        transient: Whether a retry may help.
        call: The call as the run's record keeps it.
    """

    code = "model_failed"

    def __init__(
        self,
        role: str,
        model: str,
        cause: Exception | str,
        *,
        transient: bool,
        call: Mapping[str, Any] | None = None,
    ) -> None:
        why = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
        super().__init__(f"the {role} model {model!r} failed: {why}")
        self.transient = transient
        self.call = {**(call or {"role": role, "model": model}), "error": why}


class EmptyAnswerError(ModelCallError):
    """A language model answered nothing, or nothing but its reasoning."""

    code = "empty_answer"

    def __init__(
        self,
        role: str,
        model: str,
        answer: ModelAnswer,
        max_tokens: int,
        *,
        call: Mapping[str, Any],
    ) -> None:
        if answer.withheld:
            why = "the provider's filter withheld the answer: change the request or the model"
        elif answer.reasoning_removed:
            why = (
                f"nothing but reasoning came, with {max_tokens} and with {2 * max_tokens} tokens: "
                "allow more tokens (max_tokens, PATLM_BUDGET) or switch its reasoning off"
            )
        else:
            why = (
                f"the answer was empty, with {max_tokens} and with {2 * max_tokens} tokens: "
                "take another model"
            )
        super().__init__(role, model, why, transient=False, call=call)


class PromptError(LoopError):
    """The wording of a prompt, a file, can't be used."""

    code = "invalid_prompt"


class RunFailedError(LoopError):
    """A run ended without a draft."""

    code = "run_failed"


class SettingsError(LoopError):
    """A setting, a keyword or a role that does not exist, or two that do not go together."""

    code = "invalid_settings"


_COMPARED = 100  # characters of a name: comparing is slow, and no name is longer


def say_unknown(kind: str, name: str, known: Iterable[str], *, alike: float = 0.6) -> str:
    """Return the message for a name that does not exist, with the nearest one that does.

    Args:
        kind: What the name is of.
        name: The name.
        known: The names that exist.
        alike: How alike the nearest one must be to be the one that was meant, 0 to 1.

    >>> say_unknown("setting", "modle", ["model", "store"])
    "there is no setting 'modle': did you mean 'model'?"
    """
    names = list(known)
    lower = [each.lower() for each in names]
    near = get_close_matches(name.lower()[:_COMPARED], lower, n=1, cutoff=alike)
    if near:
        meant = next(each for each in names if each.lower() == near[0])
        return f"there is no {kind} {shortened(name)}: did you mean {meant!r}?"
    return f"there is no {kind} {shortened(name)}: take one of {', '.join(names)}"
