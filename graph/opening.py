"""Open what a run works with: encoders, store, language models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ..nodes.parts import ChatRole, Parts
from .settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from ..stores.records import Encoder
    from ..stores.text_store import TextStore

Progress = Callable[[float, str], None]
Models = Mapping[str, "BaseChatModel"]

ROLES = ("style", "preference", "integrate")

LEAST_CONFIDENCE = {"style": 0.005, "preference": 0.05}
"""Below it a side abstains; low enough that only evidence without any ground is left out."""

NO_REPEAT_NGRAM = 4
"""Length of the n-grams that a draft of a local model may not repeat (greedy decoding loops)."""


@asynccontextmanager
async def open_parts(
    settings: Settings, *, models: Models | None = None, progress: Progress | None = None
) -> AsyncIterator[Parts]:
    """Open store and models as the settings say, and close them afterwards.

    Args:
        settings: Where they come from.
        models: Language models by role that the caller has opened, and will close.
        progress: Called with the share done, 0 to 1, and what is being done, while bundled weights
            are converted.

    Raises:
        StoreError: The store can't be opened.
        ModelError: A model can't be loaded.
    """
    given = dict(models or {})
    loaded = None
    if not set(ROLES) <= set(given):
        loaded = await asyncio.to_thread(_open_chat, settings, progress)
    try:
        async with open_store(settings.store, encoder=settings.encoder) as store:
            chat = {role: given.get(role, loaded) for role in (*ROLES, *given)}
            yield await asyncio.to_thread(_make_parts, store, chat, settings)
    finally:
        if loaded is not None:
            await asyncio.to_thread(_close_chat, loaded)


@asynccontextmanager
async def open_store(uri: str | None, *, encoder: str = "bundled") -> AsyncIterator[TextStore]:
    """Open a store with the encoders that fill it; without a URI, that of the sample corpus."""
    style, topic = await asyncio.to_thread(_open_encoders, encoder)
    from ..stores.text_store import TextStore
    from .sample_store import sample_store_path

    path = uri or await sample_store_path(style, topic)
    async with TextStore.open(path, style_encoder=style, topic_encoder=topic) as store:
        yield store


def _open_encoders(name: str) -> tuple[Encoder, Encoder]:
    from ..models.style_encoder import FixedStyleEncoder
    from ..models.topic_encoder import open_topic_encoder

    return FixedStyleEncoder(), open_topic_encoder(name)


def _open_chat(settings: Settings, progress: Progress | None) -> BaseChatModel:
    from ..models.chat import open_chat_model

    return open_chat_model(settings.model, dtype=settings.dtype, progress=progress)


def _close_chat(model: BaseChatModel) -> None:
    from ..models.local_chat import LocalChatModel

    if isinstance(model, LocalChatModel):
        model.close()


def _make_parts(store: TextStore, chat: Mapping[str, BaseChatModel], settings: Settings) -> Parts:
    from ..models.token_count import token_counter
    from ..stores.episodes import TraceWriter

    return Parts(
        store=store,
        style_encoder=store.style_encoder,
        topic_encoder=store.topic_encoder,
        chat={role: chat_role(model) for role, model in chat.items()},
        count=token_counter(chat["integrate"]),
        least_confidence=LEAST_CONFIDENCE,
        trace=None if settings.trace is None else TraceWriter(settings.trace),
    )


def chat_role(model: BaseChatModel) -> ChatRole:
    """Return a language model with the decoding options that its kind knows."""
    from ..models.chat import model_name
    from ..models.local_chat import LocalChatModel

    if isinstance(model, LocalChatModel):
        return ChatRole(
            model,
            model_name(model),
            options={"temperature": 0.0},
            draft_options={"no_repeat_ngram_size": NO_REPEAT_NGRAM},
        )
    return ChatRole(model, model_name(model))
