"""From the arguments of a call to a request and its context, with errors that say what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from ..nodes.errors import RequestError
from ..nodes.state import Request, RunContext, validate_request


def read_fields(fields: Mapping[str, Any]) -> Request:
    """Return a request by its fields, its task told by what is given where it is not named.

    Raises:
        RequestError: It can't be answered as it stands.
    """
    task = fields.get("task") or infer_task(
        fields.get("title"), fields.get("text"), fields.get("instruction")
    )
    return validate_request({**fields, "task": task})


def infer_task(
    title: str | None, text: str | None, instruction: str | None
) -> Literal["long", "short", "free"]:
    """Return the task that what is given asks for: instruction, else text, else title.

    Raises:
        RequestError: Nothing is given.
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
    """Return what a run may set, by its fields.

    Raises:
        RequestError: There is no such field, or its value is not one that it takes.
    """
    try:
        return RunContext(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise RequestError(
            f"{name}: {first['msg'].lower()}, got {first['input']!r}; "
            f"a run may set {', '.join(RunContext.model_fields)}"
        ) from None
