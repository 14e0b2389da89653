"""What an app keeps of people: add texts, list and change them, take feedback, forget.

A text's id is made of what it says, so a text that says something else is another one. It is stored
before the former version is removed: a kill in between leaves both, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..nodes.errors import RequestError
from ..stores.errors import shortened

if TYPE_CHECKING:
    from ..stores.texts.store import TextStore
    from ..stores.types import Added, Receipt, Text
    from ..stores.values import RatingScale
    from .forget import Places
    from .runtime import Runtime
    from .settings import Settings

T = TypeVar("T")


class Changed(NamedTuple):
    """What `update_text` did.

    Attributes:
        text: The text as it is held now.
        receipt: Of the removal of its former version; None where the text kept its id.
    """

    text: Text
    receipt: Receipt | None


class Memory:
    """The calls of a `Personalizer` that change or show what is kept of people."""

    settings: Settings
    namespace: str
    _runtime: Runtime

    async def add(
        self,
        user_id: object,
        body: str,
        *,
        topic_id: object = None,
        title: str | None = None,
        rating: float | str | None = None,
        timestamp: datetime | float | str | None = None,
        language: str | None = None,
        shared: bool | None = None,
    ) -> Added:
        """Add a text that a user wrote.

        Values are read as those of files are (`docs/data.md`): ids may be numbers, NaN counts as
        missing.

        Args:
            user_id: The author.
            body: The text.
            topic_id: The topic of the text.
            title: Its title.
            rating: The user's rating, on the store's scale: 1 to 5, unless another was ingested.
            timestamp: Time of writing: a datetime, an ISO date, seconds or milliseconds since 1970;
                without a zone in UTC. Default: now.
            language: Language tag. Default: en.
            shared: Whether the text may be evidence for other users. Default: `share` of the
                personalizer.

        Raises:
            RequestError: A value is missing or wrong; its `field` says which. Nothing is kept.
        """
        return await self.add_many(
            [
                {
                    "user_id": user_id,
                    "body": body,
                    "topic_id": topic_id,
                    "title": title,
                    "rating": rating,
                    "timestamp": timestamp,
                    "language": language,
                    "shared": shared,
                }
            ]
        )

    async def add_many(self, texts: Iterable[Mapping[str, Any]]) -> Added:
        """Add texts of any users: all of them, or none if a value is wrong.

        Args:
            texts: Mappings with the arguments of `add`, and `source_id`, the id of the text in its
                source: a text of the same person and id is replaced. None is the same as an
                argument that is left out. Or a data frame (pandas, polars, Arrow) with these
                columns.

        Raises:
            RequestError: A value is missing or wrong, or there are more than `max_added`; names the
                text's place and the field.
        """
        from .forget import places_of, take_back
        from .request import take_new_texts

        store = await self._store()
        scale = await store.read_rating_scale()
        taken = await take_new_texts(texts, self.namespace, scale, self.settings)
        added = await store.add(taken)
        await take_back(store, added.private, places_of(self.settings))
        return replace(added, text_ids=tuple(text.text_id for text in taken))

    async def feedback(self, run_id: str, *, add: bool = False, **said: Any) -> None:
        """Store the user's feedback on a draft, beside the run's record in the trace.

        Args:
            run_id: `Result.run_id`.
            add: Whether the corrected draft becomes one of the user's own texts, too, as by `add`;
                a later correction of the same run replaces it.
            said: `accepted` (unchanged), `edited` (the corrected draft, read as a text that is
                added), `rating` (1 to 5).

        Raises:
            RequestError, StoreError: No trace is kept, or the run or a value is not valid.
        """
        from .feedback import add_edited, give_feedback_on
        from .forget import places_of

        on = (self.namespace, run_id, said)
        if not isinstance(add, bool):  # nobody's "no" is taken for yes
            raise RequestError(
                f"add: expected True or False, got {shortened(add)}; nothing was kept", field="add"
            )
        if add:
            places = places_of(self.settings)
            await add_edited(await self._store(), places, *on, shared=self.settings.share)
        else:
            await asyncio.to_thread(give_feedback_on, self.settings.trace, *on)

    async def forget(
        self,
        user_id: object,
        *,
        episodes: Sequence[str | Path] = (),
        copies: Sequence[str | Path] = (),
        dry_run: bool = False,
    ) -> Receipt:
        """Remove a person from the store and all known copies, down to the bytes in the files.

        The receipt names what stays, as adapters trained on the person's texts. If there is no such
        user, it has `found` false, and `near_ids` names similar ids.

        Args:
            user_id: The user to forget.
            episodes: Folders of collected episodes.
            copies: Other files and folders that texts were copied to.
            dry_run: Only report what would be removed.
        """
        from .forget import forget_user, places_of

        places = places_of(self.settings, episodes, copies)
        return await forget_user(
            await self._store(), self.namespace, user_id, places, dry_run=dry_run
        )

    async def texts(
        self,
        user_id: object,
        *,
        topic_id: object = None,
        since: datetime | float | str | None = None,
        limit: int | None = None,
    ) -> list[Text]:
        """Return the texts that are held of a person, latest first; none of a stranger.

        Args:
            user_id: The person.
            topic_id: Only those on a topic.
            since: Only those written then or later, read as a text's `timestamp` is; one without a
                time is left out.
            limit: How many at most.

        Raises:
            RequestError: A value is wrong; its `field` says which.
        """
        from .forget import read_user

        user, chosen = read_user(user_id), Chosen.read(topic_id, since, limit)
        return chosen.of(await (await self._store()).texts_of(self.namespace, user))

    async def get_text(self, user_id: object, text_id: object) -> Text | None:
        """Return one text that is held of a person, or None.

        Args:
            user_id: Whose text it is.
            text_id: As for `remove_texts`.

        Raises:
            RequestError: It is no id, or names several texts.
        """
        return await find_text(await self._store(), self.namespace, user_id, text_id)

    async def update_text(
        self,
        user_id: object,
        text_id: object,
        *,
        body: str | None = None,
        topic_id: object = None,
        title: str | None = None,
        rating: float | str | None = None,
        timestamp: datetime | float | str | None = None,
        language: str | None = None,
        shared: bool | None = None,
    ) -> Changed:
        """Change a text that is held of a person; what is left out, or None, stays as it is.

        Other words, another title, topic or rating make a text with another `text_id`: the former
        version is removed as by `remove_texts`, once the new one is stored. A text that is no
        longer shared is removed from what was made of it for others.

        Args:
            user_id: Whose text it is.
            text_id: As for `remove_texts`.
            body: The text.
            topic_id: Its topic; "" for none.
            title: Its title; "" for none.
            rating: The person's rating; "" for none.
            timestamp: Time of writing.
            language: Language tag.
            shared: Whether it may be evidence for other users.

        Raises:
            RequestError: There is no such text, or a value is wrong; nothing was changed.
        """
        from .forget import places_of

        changes = {
            "body": body,
            "topic_id": topic_id,
            "title": title,
            "rating": rating,
            "timestamp": timestamp,
            "language": language,
            "shared": shared,
        }
        held_by, places = (await self._store(), self.namespace), places_of(self.settings)
        return await change_text(*held_by, user_id, text_id, changes, places)

    async def remove_texts(
        self,
        user_id: object,
        text_ids: Sequence[object],
        *,
        episodes: Sequence[str | Path] = (),
        copies: Sequence[str | Path] = (),
        dry_run: bool = False,
    ) -> Receipt:
        """Remove single texts of a person from all places that `forget` reaches; all or none.

        The receipt has `found` false if there is no such text.

        Args:
            user_id: Whose texts they are.
            text_ids: `text_id` of each as `texts` returns it, or the id in its source, read as
                `add_many` reads it.
            episodes: Folders of collected episodes.
            copies: As for `forget`.
            dry_run: Only report what would be removed.

        Raises:
            RequestError: An id names no text while another one does, or it names several.
        """
        from .forget import places_of, remove_texts

        places = places_of(self.settings, episodes, copies)
        return await remove_texts(
            await self._store(), self.namespace, user_id, text_ids, places, dry_run=dry_run
        )

    async def _store(self) -> TextStore:
        parts = await self._runtime.parts()
        return parts.store  # type: ignore[return-value]  # opened by us, so it is a TextStore


class Chosen(NamedTuple):
    """Which of a person's texts are listed.

    Attributes:
        topic: Only those on a topic.
        first_ms: Only those of then or later, in milliseconds since 1970.
        limit: How many at most.
    """

    topic: str | None
    first_ms: int | None
    limit: int | None

    @classmethod
    def read(cls, topic_id: object, since: object, limit: object) -> Chosen:
        """Read what an app or a command gives.

        Raises:
            RequestError: A value is wrong.
        """
        from ..stores.times import read_time
        from ..stores.values import id_to_find

        topic = _read("topic_id", topic_id, lambda: id_to_find("topic", topic_id))
        first_ms = _read("since", since, lambda: read_time(since))
        if limit is None or (type(limit) is int and limit > 0):
            return cls(topic, first_ms, limit)
        raise RequestError(f"limit: expected 1 or more, got {shortened(limit)}", field="limit")

    def of(self, held: Sequence[Text]) -> list[Text]:
        """Return the chosen ones of some texts, in their order."""
        texts = [
            text
            for text in held
            if (self.topic is None or text.topic_id == self.topic)
            and (self.first_ms is None or (text.timestamp or -math.inf) >= self.first_ms)
        ]
        return texts[: self.limit]


def _read(field: str, value: object, read: Callable[[], T | None]) -> T | None:
    """Return a value as stored; None where it is None.

    Raises:
        RequestError: It is missing in another form, or can't be read.
    """
    from pydantic_core import PydanticCustomError

    if value is None:
        return None
    try:
        found = read()
    except PydanticCustomError as error:
        raise RequestError(f"{field}: {error.message()}", field=field) from None
    if not found:
        raise RequestError(f"{field}: {shortened(value)} names nothing: leave it out", field=field)
    return found


async def find_text(
    store: TextStore, namespace: str, user_id: object, text_id: object
) -> Text | None:
    """Return a text of a person by its id, or by its id in its source; None if there is none.

    Raises:
        RequestError: It is no id, or names several texts.
    """
    from .forget import read_text_ids, read_user, texts_named

    user, wanted = read_user(user_id), read_text_ids([text_id])
    found = texts_named(user, await store.texts_of(namespace, user), wanted)
    return found[0] if found else None


async def change_text(
    store: TextStore,
    namespace: str,
    user_id: object,
    text_id: object,
    changes: Mapping[str, Any],
    places: Places,
) -> Changed:
    """Change a text of a person; see `Memory.update_text`.

    Args:
        store: The text store.
        namespace: The tenant.
        user_id: Whose text it is.
        text_id: Its id, or its id in its source.
        changes: Fields of `TextFields`; None leaves one as it is, "" empties it.
        places: Where copies of the text may be.

    Raises:
        RequestError: There is no such text, or a value is wrong; nothing was changed.
    """
    from ..stores.forgotten import now_us
    from .forget import remove_texts, take_back

    began = now_us()
    held = await find_text(store, namespace, user_id, text_id)
    if held is None:
        raise _no_such_text(user_id, text_id)
    text = _changed(held, changes, await store.read_rating_scale())
    if text.text_id == held.text_id:
        private = await store.change(text)
        if private is None:  # removed meanwhile
            raise _no_such_text(user_id, text_id)
        await take_back(store, private, places)
        return Changed(text, None)
    # Else the id in its source would have the store replace it: not in one step, so a kill could
    # lose both.
    if held.source_ids:
        await store.change(replace(held, source_id="", more_source_ids=()))
    added = await store.add([text], read_us=began)
    if added.forgotten:
        raise _no_such_text(user_id, text_id)
    await take_back(store, added.private, places)
    receipt = await remove_texts(store, namespace, held.user_id, [held.text_id], places)
    return Changed(text, receipt)


def _changed(held: Text, changes: Mapping[str, Any], scale: RatingScale) -> Text:
    """Return a text with some fields changed, each read as one that is added.

    Raises:
        RequestError: A value is wrong.
    """
    from .request import read_new_texts

    given = {name: value for name, value in changes.items() if value is not None}
    fields = {
        "user_id": held.user_id,
        "body": held.body,
        "topic_id": held.topic_id,
        "title": held.title,
        "rating": held.rating,
        "language": held.language,
        "shared": held.shared,
        **given,
    }
    (read,) = read_new_texts([fields], held.namespace, scale)
    return replace(
        read,
        timestamp=read.timestamp if "timestamp" in given else held.timestamp,
        position=held.position,
        target=held.target,
        shared_id=held.shared_id,
        source_id=held.source_id,
        more_source_ids=held.more_source_ids,
    )


def _no_such_text(user_id: object, text_id: object) -> RequestError:
    return RequestError(
        f"text_id: {shortened(user_id)} has no text {shortened(text_id)}: list the user's texts "
        "for their ids; nothing was changed",
        field="text_id",
    )
