"""Build a request and its context from the arguments of a call, with clear errors."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from ..nodes.errors import RequestError
from ..nodes.state import Request, RunContext, validate_request
from ..stores.errors import InvalidField

if TYPE_CHECKING:
    from ..stores.types import Text
    from ..stores.values import RatingScale


def read_fields(fields: Mapping[str, Any]) -> Request:
    """Return a request from its fields; the task is inferred if it is not given.

    Raises:
        RequestError: The request is not valid, or there is no such field.
    """
    if unknown := sorted(set(fields) - set(Request.model_fields)):
        raise _no_such_field(unknown[0])
    task = fields.get("task") or infer_task(
        fields.get("title"), fields.get("text"), fields.get("instruction")
    )
    return validate_request({**fields, "task": task})


def split_fields(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of a call as the fields of its request and those of its context.

    Raises:
        RequestError: One is neither; names the nearest ones.
    """
    request = {name: value for name, value in given.items() if name in Request.model_fields}
    context = {name: value for name, value in given.items() if name in RunContext.model_fields}
    if unknown := sorted(set(given) - set(request) - set(context)):
        raise _no_such_field(unknown[0])
    return request, context


def _no_such_field(name: str) -> RequestError:
    known = [*Request.model_fields, *RunContext.model_fields]
    near = get_close_matches(name, known, n=2) or [each for each in known if name in each]
    meant = f" (near: {', '.join(near)})" if near else ""
    return RequestError(
        f"{name}: there is no such field{meant}; a request has {', '.join(Request.model_fields)}; "
        f"a run may set {', '.join(RunContext.model_fields)}",
        field=name,
    )


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
    if unknown := sorted(set(fields) - set(RunContext.model_fields)):
        raise _no_such_field(unknown[0])
    try:
        return RunContext(**fields)
    except ValidationError as error:
        raise RequestError(
            f"{InvalidField.of(error).with_value()}; "
            f"a run may set {', '.join(RunContext.model_fields)}",
            field=InvalidField.of(error).place,
        ) from None


def read_new_texts(
    given: Iterable[Mapping[str, Any]], namespace: str, scale: RatingScale, *, shared: bool = False
) -> list[Text]:
    """Return texts that an app hands over, checked like those of a file.

    Args:
        given: Fields of `TextFields`; a text without a time is of now.
        namespace: The tenant.
        scale: The scale of the store's ratings.
        shared: Whether texts that do not say so may be evidence for other users.

    Raises:
        RequestError: A value is missing or wrong; names the text's place and the field.
    """
    from ..stores.datasets.validation import BadRow, Defaults, build_text
    from ..stores.values import ReadingRules

    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise RequestError(
            f"texts: expected mappings with the arguments of add, got {type(given).__name__}",
            field="texts",
        )
    defaults = Defaults(namespace, reading=ReadingRules(scale, strict=True))
    now, texts = int(time.time() * 1000), []
    for place, fields in enumerate(given):
        if not isinstance(fields, Mapping) or not all(isinstance(name, str) for name in fields):
            raise RequestError(
                f"text {place}: expected a mapping with the arguments of add, got "
                f"{type(fields).__name__}; nothing was kept",
                field="texts",
            )
        try:  # an app's ids are accounts, whatever they look like
            text = build_text(
                defaults, position=place, **{"shared": shared, "shared_id": False, **fields}
            )
        except BadRow as error:
            raise RequestError(
                f"text {place}: {error.field}: {error}; nothing was kept", field=error.field
            ) from None
        texts.append(text if text.timestamp is not None else replace(text, timestamp=now))
    return texts
