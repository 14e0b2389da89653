"""Store feedback on a draft beside the record of its run, and a corrected draft as a text.

A corrected draft is what the person would have written. Where the app says so (`add`), it becomes
one of the person's own texts, by the same checks as any other; a later correction of the same run
replaces it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from ..nodes.errors import RequestError
from ..stores.errors import InvalidField, shortened
from ..stores.forgotten import key_of, now_us

if TYPE_CHECKING:
    from ..stores.episodes.feedback import NoSuchRun
    from ..stores.episodes.schema import Feedback
    from ..stores.texts.store import TextStore
    from ..stores.types import Text
    from ..stores.values import RatingScale
    from .forget import Places


def give_feedback_on(
    trace: Path | None, namespace: str | None, run_id: str, said: Mapping[str, Any]
) -> None:
    """Store feedback on a run. Blocks.

    Args:
        trace: Folder of the records of runs.
        namespace: The tenant that the run must belong to; None for any.
        run_id: `Result.run_id`.
        said: Fields of `Feedback`.

    Raises:
        RequestError: No trace is kept, or a field or value is not valid.
        StoreError: The feedback is empty, or there is no such run.
    """
    from ..stores.episodes.feedback import give_feedback

    if trace is None:
        raise _no_trace()
    give_feedback(trace, _read_feedback(run_id, said), namespace=namespace)


def _read_feedback(run_id: str, said: Mapping[str, Any]) -> Feedback:
    from ..stores.episodes.schema import Feedback
    from .request import say_no_field

    if unknown := sorted(set(said) - set(_SAID)):
        raise RequestError(
            f"{say_no_field(unknown[0], _SAID)}; feedback has {', '.join(_SAID)}; nothing was kept",
            field=unknown[0],
        )
    try:
        return Feedback(run_id=read_run_id(run_id), **said)
    except ValidationError as error:
        field = InvalidField.of(error)
        raise RequestError(field.with_value(), field=field.place) from None


_SAID = ("accepted", "edited", "rating")
"""What can be said of a draft."""


def read_run_id(run_id: object) -> str:
    """Return the id of a run.

    Raises:
        RequestError: It is no id, or missing.
    """
    from ..stores.values import read_string

    try:
        found = read_string("run_id", run_id).strip()
    except PydanticCustomError as error:
        raise RequestError(f"run_id: {error.message()}", field="run_id") from None
    if not found:
        raise RequestError("run_id is missing: give the result's run_id", field="run_id")
    return found


async def add_edited(
    store: TextStore,
    places: Places,
    namespace: str | None,
    run_id: str,
    said: Mapping[str, Any],
    *,
    shared: bool,
) -> None:
    """Store feedback on a run, and its corrected draft as a text of the person.

    Args:
        store: The store of the run's texts.
        places: The folder of the records of runs, and where copies of texts may be.
        namespace: The tenant that the run must belong to; None for any.
        run_id: `Result.run_id`.
        said: Fields of `Feedback`; `edited` is needed.
        shared: Whether the text may be evidence for other users.

    Raises:
        RequestError: As `give_feedback_on`, or there is no text to add; nothing was kept.
        StoreError: As `give_feedback_on`; or the person was forgotten meanwhile, or a removal of
            the person was cut off: then nothing was kept.
    """
    from .forget import take_back

    began, trace = now_us(), places.trace
    scale = await store.read_rating_scale()
    text = await asyncio.to_thread(_edited_text, scale, trace, namespace, run_id, said, shared)
    if key_of(text.namespace, text.user_id) in (await store.forgotten()).unfinished:
        raise _forgotten(run_id, text.user_id)
    await asyncio.to_thread(give_feedback_on, trace, namespace, run_id, said)
    added = await store.add([text], read_us=began)
    if added.forgotten:
        raise _forgotten(run_id, text.user_id)
    await take_back(store, added.private, places)


def _forgotten(run_id: str, user: str) -> NoSuchRun:
    from ..stores.episodes.feedback import NoSuchRun

    return NoSuchRun(
        f"{shortened(user)}, whose run {run_id} is, was or is being forgotten: nothing was kept; a "
        "removal that was cut off is finished by the same `patlm forget`",
        code="emptied_run",
    )


def _edited_text(
    scale: RatingScale,
    trace: Path | None,
    namespace: str | None,
    run_id: str,
    said: Mapping[str, Any],
    shared: bool,
) -> Text:
    from ..stores.episodes.feedback import read_run
    from .request import read_new_texts

    if trace is None:
        raise _no_trace()
    edited = _read_feedback(run_id, said).edited
    run = read_run(trace, read_run_id(run_id), namespace=namespace)
    request = run["request"]
    if edited is None or request.get("task") == "rating":
        why = "a rating is no text" if edited is not None else "there is no corrected draft"
        raise RequestError(f"edited: {why} to add; nothing was kept", field="edited")
    of_title = request.get("task") == "short"  # the draft is the title of the person's text
    fields = {
        "user_id": request.get("user_id"),
        "topic_id": request.get("topic_id"),
        "title": edited if of_title else request.get("title"),
        "body": request.get("text") if of_title else edited,
        "rating": request.get("rating"),
        "language": request.get("language"),
        "source_id": f"run {run['run_id']}",
        "shared": shared,
    }
    return read_new_texts([fields], run["namespace"], scale)[0]


def _no_trace() -> RequestError:
    return RequestError(
        "feedback is kept beside the records of runs, and none are kept: open it with "
        "Personalizer(trace=FOLDER), or set PATLM_TRACE"
    )
