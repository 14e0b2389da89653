"""Build a request and its context from the arguments of a call, with clear errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from ..nodes.errors import RequestError
from ..nodes.state import Request, RunContext, validate_request
from ..stores.errors import InvalidField


def read_fields(fields: Mapping[str, Any]) -> Request:
    """Return a request from its fields; the task is inferred if it is not given.

    Raises:
        RequestError: The request is not valid.
    """
    task = fields.get("task") or infer_task(
        fields.get("title"), fields.get("text"), fields.get("instruction")
    )
    return validate_request({**fields, "task": task})


def infer_task(
    title: str | None, text: str | None, instruction: str | None
) -> Literal["long", "short", "free"]:
    """Infer the task from the fields: an instruction, or else a text, or else a title.

    Raises:
        RequestError: None of them is given.
    """
    if instruction:
        return "free"
    if text:
        return "short"
    if title:
        return "long"
    raise RequestError(
        "nothing to write from: give a title (long), a text (short) or an instruction (free)"
    )


def read_context_fields(fields: Mapping[str, Any]) -> RunContext:
    """Return the context of a run from its fields.

    Raises:
        RequestError: There is no such field, or its value is not valid.
    """
    try:
        return RunContext(**fields)
    except ValidationError as error:
        raise RequestError(
            f"{InvalidField.of(error).with_value()}; "
            f"a run may set {', '.join(RunContext.model_fields)}"
        ) from None
