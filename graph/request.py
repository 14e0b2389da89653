"""Build a request and its context from the arguments of a call, with clear errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import ValidationError

from ..nodes.errors import LoopError, RequestError
from ..nodes.state import Request, RunContext, validate_request
from ..stores.errors import InvalidField, shortened
from ..stores.search.threads import MANY_ROWS, in_thread_if
from ..stores.values import MISSING, plain

if TYPE_CHECKING:
    from ..stores.types import Text
    from ..stores.values import RatingScale
    from .settings import Settings


def read_fields(fields: Mapping[str, Any]) -> Request:
    """Return a request from its fields; the task is inferred if it is not given.

    Raises:
        RequestError: The request is not valid, or there is no such field.
    """
    if unknown := sorted(set(fields) - set(Request.model_fields)):
        raise _no_such_field(unknown[0])
    if _is_given(fields.get("task")):
        return validate_request(fields)
    task = infer_task(fields.get("title"), fields.get("text"), fields.get("instruction"))
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
    return RequestError(
        f"{say_no_field(name, known)}; a request has {', '.join(Request.model_fields)}; "
        f"a run may set {', '.join(RunContext.model_fields)}",
        field=name,
    )


_COMPARED = 100  # characters of a name: comparing is slow, and no name is longer


def say_no_field(name: str, known: Sequence[str], meant: str | None = None) -> str:
    """Return the beginning of a message for a name that is no field, with the nearest ones."""
    near = [meant] if meant else get_close_matches(name[:_COMPARED], known, n=2)
    near = near or [each for each in known if name in each]
    said = name if len(name) <= _COMPARED else shortened(name)
    meant_ones = f" (near: {', '.join(near)})" if near else ""
    return f"{said}: there is no such field{meant_ones}"


def infer_task(
    title: object, text: object, instruction: object
) -> Literal["long", "short", "free"]:
    """Infer the task from the fields: an instruction, or else a text, or else a title.

    Raises:
        RequestError: None of them is given.
    """
    if _is_given(instruction):
        return "free"
    if _is_given(text):
        return "short"
    if _is_given(title):
        return "long"
    raise RequestError(
        "nothing to write from: give a title (long), a text (short) or an instruction (free)",
        field="title",
    )


class UnderWay:
    """Counts the requests that are under way.

    Args:
        most: How many there may be at once.
    """

    def __init__(self, most: int) -> None:
        self._most, self._left = most, threading.Semaphore(most)

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count one while it lasts.

        Raises:
            LoopError: There are as many as there may be.
        """
        if not self._left.acquire(blocking=False):
            raise LoopError(
                f"{self._most:,} requests are under way, as many as there may be: ask again later, "
                "or raise max_waiting",
                code="too_many_requests",
            )
        try:
            yield
        finally:
            self._left.release()


def take_at_most(given: Iterable[Any], most: int, name: str, setting: str) -> list[Any]:
    """Return all of some things as a list; no more than one too many is asked for.

    Args:
        given: The things.
        most: How many at most.
        name: What they are.
        setting: What sets how many they may be.

    Raises:
        RequestError: There are more.
    """
    taken = list(islice(given, most + 1))
    if len(taken) > most:
        raise RequestError(
            f"{name}: more than {most:,} at once: split them, or raise {setting}", field=name
        )
    return taken


def check_mappings(requests: object, kind: type[Request], most: int) -> list[Any]:
    """Return requests, each an object of a class or a mapping.

    Args:
        requests: What was given.
        kind: The class.
        most: How many at most.

    Raises:
        RequestError: They are something else, or too many.
    """
    single = isinstance(requests, str | bytes | Mapping | kind)
    if isinstance(requests, Iterable) and not single:
        given = take_at_most(requests, most, "requests", "max_batch")
    else:
        given = [requests]
    for place, each in enumerate(given):
        named = isinstance(each, kind) or (
            isinstance(each, Mapping) and all(isinstance(name, str) for name in each)
        )
        if single or not named:
            raise RequestError(
                f"requests: expected requests, or mappings with the arguments of awrite, got "
                f"{type(requests if single else each).__name__} (request {place})",
                field="requests",
            )
    return given


def _is_given(value: object) -> bool:
    """Say whether a field has a value; one of a wrong type counts, so that it is refused."""
    value = plain(value)
    return value is not None and not (isinstance(value, str) and value in MISSING)


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


_OTHER_NAMES = {"text": "body", "user": "user_id", "topic": "topic_id", "time": "timestamp"}
"""Names of fields as files and commands have them."""


def with_shared(request: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of one request of a batch; what it does not say is the batch's.

    Args:
        request: Its own arguments.
        context: What the batch has in common.
    """
    own = {name: value for name, value in request.items() if name not in context}
    return {**own, **context, **_said({name: request[name] for name in request if name in context})}


def _said(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are said: one that is None, NaN or NA of pandas is left out."""
    return {name: value for name, value in fields.items() if _is_given(value)}


async def take_new_texts(
    given: Iterable[Mapping[str, Any]], namespace: str, scale: RatingScale, settings: Settings
) -> list[Text]:
    """Return texts that an app hands over, all of them read.

    Args:
        given: As `read_new_texts` takes them, or a data frame whose columns are the fields.
        namespace: The tenant.
        scale: The scale of the store's ratings.
        settings: How many they may be, and whether they are shared.

    Raises:
        RequestError: There are too many, or a value is missing or wrong.
    """
    given = _rows_of_frame(given, settings.max_added + 1)
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise RequestError(
            f"texts: expected mappings with the arguments of add, got {type(given).__name__}",
            field="texts",
        )
    taken = take_at_most(given, settings.max_added, "texts", "max_added")
    many = len(taken) > MANY_ROWS
    return await in_thread_if(many, read_new_texts, taken, namespace, scale, shared=settings.share)


_ROWS_OF_FRAMES = {"to_dicts": (), "to_pylist": (), "to_dict": ("records",)}
"""Methods of the frames of polars, of Arrow's tables and of pandas' frames that return the rows."""


def _rows_of_frame(given: Any, most: int) -> Iterable[Any]:
    """Return the first rows of a data frame of any library; anything else as it is."""
    if hasattr(given, "columns"):  # iterated it would be the names of its columns
        for method, arguments in _ROWS_OF_FRAMES.items():
            if callable(getattr(given, method, None)):
                rows: Iterable[Any] = getattr(given[:most], method)(*arguments)
                return rows
    return cast("Iterable[Any]", given)


def read_new_texts(
    given: Sequence[Mapping[str, Any]], namespace: str, scale: RatingScale, *, shared: bool = False
) -> list[Text]:
    """Return texts that an app hands over, checked like those of a file.

    Args:
        given: Fields of `TextFields`; one that is None is not said, and a text without a time is
            of now.
        namespace: The tenant.
        scale: The scale of the store's ratings.
        shared: Whether texts that do not say so may be evidence for other users.

    Raises:
        RequestError: A value is missing or wrong; names the text's place and the field.
    """
    from ..stores.datasets.validation import BadRow, Defaults, TextFields, build_text
    from ..stores.values import ReadingRules

    defaults = Defaults(namespace, reading=ReadingRules(scale, strict=True))
    now, texts = int(time.time() * 1000), []
    for place, fields in enumerate(given):
        if not isinstance(fields, Mapping) or not all(isinstance(name, str) for name in fields):
            raise RequestError(
                f"text {place}: expected a mapping with the arguments of add, got "
                f"{type(fields).__name__}; nothing was kept",
                field="texts",
            )
        if unknown := sorted(set(fields) - set(TextFields.model_fields)):
            known = list(TextFields.model_fields)
            near = say_no_field(unknown[0], known, _OTHER_NAMES.get(unknown[0]))
            raise RequestError(
                f"text {place}: {near}; a text has {', '.join(known)}; nothing was kept",
                field=unknown[0],
            )
        try:  # an app's ids are accounts, whatever they look like
            text = build_text(
                defaults, position=place, **{"shared": shared, "shared_id": False, **_said(fields)}
            )
        except BadRow as error:
            raise RequestError(
                f"text {place}: {error.field}: {error}; nothing was kept", field=error.field
            ) from None
        texts.append(text if text.timestamp is not None else replace(text, timestamp=now))
    return texts
