"""The API for assistant apps: one object that adds texts, writes and forgets.

Example:
    async with Personalizer("my-store") as personalizer:
        await personalizer.add("ana", "Lovely!! Slept like a log.", topic_id="hotel-azul")
        result = await personalizer.awrite("ana", title="Two nights by the sea")
        print(result.text)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ..nodes.dependencies import Parts
from ..nodes.errors import LoopError, RequestError, SettingsError, say_unknown
from ..nodes.node import check_sizes, other_tenant
from ..nodes.state import Request, Result, RunContext
from ..stores.errors import shortened
from ..stores.values import plain
from .builder import LoopApp, build_graph
from .events import STREAM_MODES, Event, read_events
from .request import (
    UnderWay,
    check_mappings,
    read_context_fields,
    read_fields,
    split_fields,
    with_shared,
)
from .runtime import Runtime

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from ..stores.texts.store import TextStore
    from ..stores.types import Added, Receipt, Text


class Personalizer:
    """Writes for the users of a store.

    Opened by `async with` or by the first call; `write` may also be called outside an event loop.
    Store and models are opened once and shared by all calls.

    Args:
        store: Directory or object-store URI. Default: PATLM_STORE, or the sample corpus.
        model: The language model: `auto`, an installed one, a path, a hub id, `provider:model`,
            `python:package.module:factory`, or a LangChain chat model. Default: PATLM_MODEL.
        roles: Models of single roles (style, preference, integrate), named as `model` is.
            Default: PATLM_MODEL_STYLE, PATLM_MODEL_PREFERENCE, PATLM_MODEL_INTEGRATE.
        trace: Folder for the record of each run. Default: PATLM_TRACE, or no records.
        budget: Length of prompts and drafts: `small`, `medium`, `large`, or `auto`, by the model.
            Default: PATLM_BUDGET, or `auto`.
        namespace: Tenant of all calls; a call that names another one is refused.
        share: Whether texts added by `add` may be evidence for other users of the tenant, where the
            call does not say. Default: PATLM_SHARE, or False: a text serves its author alone.
        settings: Further settings by name (`encoder`, `style_encoder`, `dtype`, `prompts`,
            `tracing`, `min_authors`, the guards `personal_data` and `copied_words`, and the limits
            `max_title`, `max_text`, `max_batch`, `max_added`, `max_waiting`).

    Raises:
        SettingsError: A keyword, role or PATLM_ variable that does not exist.
    """

    def __init__(
        self,
        store: str | Path | None = None,
        *,
        model: str | BaseChatModel | None = None,
        roles: Mapping[str, str | BaseChatModel] | None = None,
        trace: str | Path | None = None,
        budget: str | None = None,
        namespace: str = "default",
        share: bool | None = None,
        **settings: Any,
    ) -> None:
        from pydantic import ValidationError

        from ..stores.errors import InvalidField
        from .settings import PREFIX, ROLES, Settings, read_model, read_roles

        if store is not None and not isinstance(store, str | Path):
            raise SettingsError(f"store: expected a folder or a URI, got {shortened(store)}")
        model, of_roles = read_model("model", model), read_roles(roles)
        for name in settings:
            if name not in Settings.model_fields:
                known = [*Settings.model_fields, "roles", "namespace"]
                raise SettingsError(say_unknown("keyword", name, known))
        by_name = {role: name for role, name in of_roles.items() if isinstance(name, str)}
        named = {
            "store": None if store is None else str(store),
            "model": model if isinstance(model, str) else None,
            "trace": trace,
            "budget": budget,
            **{f"model_{role}": name for role, name in by_name.items()},
            "share": share,
        }
        given: dict[str, Any] = {
            key: value for key, value in named.items() if plain(value) is not None
        }
        try:
            self.settings = Settings(**given, **settings)
        except ValidationError as error:
            wrong = InvalidField.of(error)
            here = wrong.place in given or wrong.place in settings
            said = wrong.with_value(wrong.place if here else f"{PREFIX}{wrong.place.upper()}")
            raise SettingsError(said) from None
        try:
            self.namespace = read_context_fields({"namespace": namespace}).namespace
        except RequestError as error:
            raise SettingsError(str(error)) from None
        self._models = {role: each for role, each in of_roles.items() if not isinstance(each, str)}
        if model is not None and not isinstance(model, str):
            free = [role for role in ROLES if getattr(self.settings, f"model_{role}") is None]
            self._models = {**dict.fromkeys(free, model), **self._models}
        self._under_way = UnderWay(self.settings.max_waiting)
        self._runtime = Runtime(self._open_parts)
        self.graph: LoopApp = build_graph(
            self._runtime.parts, run=self._runtime.run, tracing=self.settings.tracing
        ).compile(name="patlm")

    async def __aenter__(self) -> Self:
        """Open store and models."""
        await self._runtime.parts()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Close store and models; not needed inside `async with`. Blocks."""
        self._runtime.close()

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
        return added

    async def awrite(
        self,
        user_id: str,
        *,
        task: Literal["long", "short", "rating", "free"] | None = None,
        topic_id: str | None = None,
        title: str | None = None,
        text: str | None = None,
        instruction: str | None = None,
        rating: float | None = None,
        language: str = "en",
        **context: Any,
    ) -> Result:
        """Write for a user.

        Args:
            user_id: The user to write for.
            task: long (a text from `title`), short (a title from `text`), rating (1-5 from both)
                or free (from `instruction`). Default: inferred from which of the three is given.
            topic_id: The topic's id in the store.
            title: The title (long, rating).
            text: The text (short, rating).
            instruction: The instruction (free).
            rating: The user's own rating, if known.
            language: Language of the draft.
            context: Fields of `RunContext`: `k`, `max_iterations`, `deadline_s`, ...

        Raises:
            RequestError: The request is not valid.
            DeadlineError: The deadline passed before there was a draft.
            LoopError: A model failed before there was a draft, or too many requests are under way.
        """
        request = self._read(
            {
                "user_id": user_id,
                "task": task,
                "topic_id": topic_id,
                "title": title,
                "text": text,
                "instruction": instruction,
                "rating": rating,
                "language": language,
            }
        )
        return await self._run(request, self._context(context))

    def write(self, user_id: str, **request: Any) -> Result:
        """Write for a user outside an event loop; arguments are those of `awrite`.

        Raises:
            LoopError: An event loop is running: use `await personalizer.awrite(...)`.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._runtime.run(lambda: self.awrite(user_id, **request))
        raise LoopError(
            "write() would block the event loop that is running here: "
            "use `await personalizer.awrite(...)`",
            code="loop_is_running",
        )

    async def abatch(
        self, requests: Sequence[Request | Mapping[str, Any]], **context: Any
    ) -> list[Result]:
        """Write for many users at once; waiting model calls share batches.

        Args:
            requests: Requests, or mappings with the arguments of `awrite`.
            context: Fields of `RunContext`, for all requests that do not set their own.

        Raises:
            LoopError: As `awrite`, for the first request that fails; the others are cancelled.
                If a request is not valid, nothing runs.
        """
        shared = self._context(context)
        ready = [
            (self._fitting(request), shared)
            if isinstance(request, Request)
            else self._read_call(with_shared(request, context))
            for request in check_mappings(requests, Request, self.settings.max_batch)
        ]
        try:
            async with asyncio.TaskGroup() as group:
                runs = [group.create_task(self._run(*each)) for each in ready]
        except ExceptionGroup as failures:  # the others have been cancelled
            raise failures.exceptions[0] from None
        return [run.result() for run in runs]

    async def astream(self, user_id: str, **request: Any) -> AsyncGenerator[Event, None]:
        """Write for a user and yield events: node updates, draft tokens, the result.

        Arguments and errors are those of `awrite`. Who stops early calls `aclose` (or uses
        `contextlib.aclosing`), which ends the run at once.
        """
        ready, context = self._read_call({"user_id": user_id, **request})
        stream: Any = self.graph.astream(ready, context=context, stream_mode=list(STREAM_MODES))
        with self._under_way.one_more():
            async with aclosing(stream), aclosing(read_events(stream)) as events:
                async for event in events:
                    yield event

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

    async def texts(self, user_id: object) -> list[Text]:
        """Return all texts that are held of a person, latest first; none of a stranger.

        Args:
            user_id: The person.

        Raises:
            RequestError: It is no id.
        """
        from .forget import read_user

        return await (await self._store()).texts_of(self.namespace, read_user(user_id))

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

    async def _run(self, request: Request, context: RunContext) -> Result:
        with self._under_way.one_more():
            state = await self.graph.ainvoke(request, context=context)
        return Result.model_validate(state)

    def _read(self, fields: Mapping[str, Any]) -> Request:
        return self._fitting(read_fields(fields))

    def _fitting(self, request: Request) -> Request:
        # Before anything runs; the graph, which apps may call themselves, checks it, too.
        check_sizes(request, self.settings.size_limits)
        return request

    async def _store(self) -> TextStore:
        parts = await self._runtime.parts()
        return parts.store  # type: ignore[return-value]  # opened by us, so it is a TextStore

    def _read_call(self, given: Mapping[str, Any]) -> tuple[Request, RunContext]:
        """Return the arguments of `awrite` as a request and its context."""
        request, context = split_fields(given)
        return self._read(request), self._context(context)

    def _context(self, fields: Mapping[str, Any]) -> RunContext:
        context = read_context_fields({"namespace": self.namespace, **fields})
        if context.namespace != self.namespace:
            raise other_tenant(context.namespace, self.namespace)
        return context

    @asynccontextmanager
    async def _open_parts(self) -> AsyncIterator[Parts]:
        from .open import open_parts

        async with open_parts(self.settings, models=self._models) as parts:
            # Runs of `.graph` itself, as a node of an app, use this tenant, too, and no other.
            yield replace(parts, namespace=self.namespace, one_tenant=True)
