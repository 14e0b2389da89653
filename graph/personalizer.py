"""The API for assistant apps: one object that adds texts, writes and forgets.

Example:
    async with Personalizer("my-store") as personalizer:
        await personalizer.add("ana", "Lovely!! Slept like a log.", topic_id="hotel-azul")
        result = await personalizer.awrite("ana", title="Two nights by the sea")
        print(result.text)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
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
from .memory import Memory
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


class Personalizer(Memory):
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
