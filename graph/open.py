"""Open the parts of a run: encoders, store, language models.

Without a store's name the sample corpus serves, ingested once into the cache; what is opened is a
copy, so that no text of an app's users gets there.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..nodes.budget import SMALL_BELOW, Budget, choose_budget
from ..nodes.dependencies import ChatRole, Parts
from ..nodes.prompts.files import prompt_set
from ..stores.texts.connection import check_not_forked
from .adapters import ServedAdapters
from .encoders import OWN, Encoders, open_encoders
from .settings import ROLES, Settings, adapters_folder

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from ..models.telemetry import Watch
    from ..stores.datasets.formats import RowFile
    from ..stores.texts.store import TextStore


Progress = Callable[[float, str], None]
Models = Mapping[str, "BaseChatModel"]

LEAST_CONFIDENCE = {"style": 0.1, "preference": 0.05}
"""A side with less confidence abstains.

Style: measured by `patlm bench evidence` on the `gate` split of instruments (.100): below it, style
neighbours are farther from what a person really writes than random people, above it they are nearer
(docs/retrieval.md). Preference: not measured; it excludes evidence without any support.
"""

NO_REPEAT_NGRAM = 4
"""Length of the n-grams that a small local model may not repeat: greedy decoding loops."""

REPETITION_PENALTY = 1.1
"""That of larger local models, as Qwen's own settings have it."""

NO_REPEAT_PHRASE = 8
"""The n-grams that these may not repeat: short ones make them misspell words, and the penalty
alone does not end a sentence that is said again and again with one word exchanged."""

REASONING_ROOM = 4000
"""Tokens for the reasoning of a model that is known to reason: they count as part of its answer."""


SAMPLE_FORMAT = "fp32"
"""Number format of the sample store's topic vectors: installs with and without torch share it."""


@asynccontextmanager
async def open_parts(
    settings: Settings, *, models: Models | None = None, progress: Progress | None = None
) -> AsyncIterator[Parts]:
    """Open store and models by the settings, and close them afterwards.

    Args:
        settings: Names of store and models.
        models: Language models by role that the caller has opened and will close.
        progress: Called with the share done, 0 to 1, and a message, while installed weights are
            converted.

    Raises:
        StoreError: The store can't be opened; with the code `forked` where no store can.
        ModelError: A model can't be loaded.
    """
    check_not_forked()  # before a model is loaded, which may crash, too
    given = dict(models or {})
    loaded: dict[str, BaseChatModel] = {}
    exits = ExitStack()
    try:
        missing = {role: settings.for_role(role) for role in ROLES if role not in given}
        for wanted in dict.fromkeys(missing.values()):
            opened_model = open_chat(wanted, progress=progress)
            model = await asyncio.to_thread(exits.enter_context, opened_model)
            loaded |= {role: model for role, mine in missing.items() if mine == wanted}
        opened = open_store_and_encoders(
            settings.store, encoder=settings.encoder, style_encoder=settings.style_encoder
        )
        async with opened as (store, encoders):
            chat = {**loaded, **given}
            yield await asyncio.to_thread(_make_parts, store, encoders, chat, settings)
    finally:
        await _close_in_thread(exits)


async def _close_in_thread(exits: ExitStack) -> None:
    """Close models in a thread, or here when the interpreter exits: threads take no work then."""
    try:
        closing = asyncio.get_running_loop().run_in_executor(None, exits.close)
    except RuntimeError:  # told before anything is closed
        exits.close()
    else:
        await closing


@asynccontextmanager
async def open_store(
    uri: str | None,
    *,
    encoder: str = "bundled",
    style_encoder: str = OWN,
    first: Sequence[str] = (),
) -> AsyncIterator[TextStore]:
    """Open a store, or create it; without a URI, a copy of the sample corpus's store.

    Args:
        uri: Directory or object-store URI.
        encoder: The topic encoder, see `models.encoders.open`.
        style_encoder: See `open_encoders`.
        first: The first texts of a new store, for its style encoder's statistics.

    Raises:
        StoreError: The store can't be opened, or was filled with other encoders.
        ModelError: The encoder can't be loaded.
    """
    opened = open_store_and_encoders(uri, encoder=encoder, style_encoder=style_encoder, first=first)
    async with opened as (store, _):
        yield store


@asynccontextmanager
async def open_store_and_encoders(
    uri: str | None,
    *,
    encoder: str = "bundled",
    style_encoder: str = OWN,
    first: Sequence[str] = (),
    dtype: str = "auto",
) -> AsyncIterator[tuple[TextStore, Encoders]]:
    """Open a store like `open_store`, and return its encoders, too.

    `dtype` is that of `open_encoders`.
    """
    # In a thread: its imports read the disk, which `langgraph dev` reports as blocking.
    await asyncio.to_thread(import_module, "..stores.texts.reembed", __package__)
    await asyncio.to_thread(import_module, "..stores.texts.store", __package__)
    await asyncio.to_thread(import_module, ".graph_artefact", __package__)
    await asyncio.to_thread(import_module, ".forget", __package__)
    from ..stores.texts.store import TextStore
    from .forget import finish_removals
    from .graph_artefact import serve_graph

    async with AsyncExitStack() as exits:
        if uri is None:
            uri = await exits.enter_async_context(copy_sample_store(encoder, style_encoder))
        encoders = await open_encoders(uri, encoder, style_encoder, first, dtype)
        opened = TextStore.open(uri, style_encoder=encoders.style, topic_encoder=encoders.topic)
        store = await exits.enter_async_context(opened)
        await finish_removals(store, uri)
        await serve_graph(store)
        yield store, encoders


@asynccontextmanager
async def look_into_store(uri: str | None) -> AsyncIterator[TextStore]:
    """Open an existing store without loading its encoders: to count or to forget.

    Without a URI, the store of the sample corpus, which is filled first if needed.

    Raises:
        StoreError: There is no store, or it can't be opened.
    """
    if uri is None:
        async with open_store(None) as sample:
            yield sample
        return
    from ..stores.texts.store import TextStore

    async with TextStore.open_existing(uri) as store:
        yield store


@contextmanager
def open_chat(
    settings: Settings, *, progress: Progress | None = None, watches: Sequence[Watch] = ()
) -> Iterator[BaseChatModel]:
    """Open the language model of the settings, one for all roles, and close it afterwards. Blocks.

    Args:
        settings: Name of the model and folder of the adapters.
        progress: See `open_parts`.
        watches: Receive a report of each batch of a local model, like those of the settings.

    Raises:
        ModelError: It can't be loaded.
        SettingsError: The settings name a role's own model.
    """
    settings = settings.for_one_model()
    from ..models.open import is_local, open_chat_model, resolved_name
    from ..models.remote.chat_model import RemoteChatModel

    name = resolved_name(settings.model, settings.dtype)
    settings = settings.model_copy(update={"model": name})
    model = open_chat_model(
        settings.model,
        dtype=settings.dtype,
        progress=progress,
        find_adapter=ServedAdapters(adapters_folder(settings.adapters)).find,
        watches=(*settings_watches(settings), *watches),
        base_url=settings.base_url,
    )
    try:
        yield model
    finally:
        if is_local(model) or isinstance(model, RemoteChatModel):
            model.close()


def settings_watches(settings: Settings) -> tuple[Watch, ...]:
    """Return the watches that the settings ask for: none by default.

    Raises:
        ModelNotFound: Spans are asked for, and OpenTelemetry is not installed.
    """
    if not settings.otel:
        return ()
    from ..models.telemetry import CallSpans

    return (CallSpans(settings.model),)


def _make_parts(
    store: TextStore, encoders: Encoders, chat: Mapping[str, BaseChatModel], settings: Settings
) -> Parts:
    from ..models.encoders.remembered import RECENT, RememberedEncoder
    from ..models.open import token_counter
    from ..stores.copies.ledger import note_copy
    from ..stores.episodes.shards import EpisodeWriter

    if settings.trace is not None:
        note_copy("traces", settings.trace, of=settings.store)
    roles = {role: chat_role(model) for role, model in chat.items()}
    return Parts(
        store=store,
        style_encoder=encoders.style,
        topic_encoder=RememberedEncoder(encoders.topic, RECENT),
        chat=roles,
        count=token_counter(chat["integrate"]),
        budget=opened_budget(settings, roles.values()),
        prompt_folder=settings.prompts,
        least_confidence=LEAST_CONFIDENCE,
        min_authors=settings.min_authors,
        promoted=ServedAdapters(adapters_folder(settings.adapters)).promoted_for(chat),
        # A record is written in a thread, which has no event loop of its own.
        trace=None
        if settings.trace is None
        else EpisodeWriter(settings.trace, forgotten=lambda: asyncio.run(store.forgotten())),
        capture=settings.trace is not None,
        rating_scale=store.rating_scale,
        scale_source=store,
        limits=settings.size_limits,
        guards=settings.guards,
    )


def opened_budget(settings: Settings, roles: Iterable[ChatRole]) -> Budget:
    """Return the budget for the models of the roles; its prompts are read, and so checked.

    Raises:
        PromptError: The folder of prompts does not exist, or can't be used.
    """
    budget = choose_budget(settings.budget, roles)
    prompt_set(budget.prompts, settings.prompts)
    return budget


def chat_role(model: BaseChatModel) -> ChatRole:
    """Return a language model with the decoding options that its kind accepts."""
    from ..models.open import is_local, model_name
    from ..models.remote.chat_model import RemoteChatModel

    if is_local(model):
        return ChatRole(
            model,
            model_name(model),
            options={"temperature": 0.0, **against_repetition(model.parameters)},
            takes_adapters=True,
            base=model.fingerprint,
            takes_seed=True,
            parameters=model.parameters,
            device=model.device,
            window=model.window,
            reasoning_room=REASONING_ROOM if model.reasons else 0,
        )
    if isinstance(model, RemoteChatModel):
        # Greedy on one's own server; the newest models of providers refuse a temperature.
        greedy = model.server.is_own and model.takes_temperature
        return ChatRole(
            model,
            model_name(model),
            options={"temperature": 0.0} if greedy else {},
            takes_adapters=model.server.speaks_openai,
            takes_seed="seed" in model.server.dialect.options,
            window=model.window,
            reasoning_room=REASONING_ROOM if model.reasons else 0,
        )
    return ChatRole(model, model_name(model))


def against_repetition(parameters: int) -> dict[str, float]:
    """Return what keeps a local model from turning in circles, as greedy decoding does."""
    if parameters < SMALL_BELOW:
        return {"no_repeat_ngram_size": NO_REPEAT_NGRAM}
    return {"repetition_penalty": REPETITION_PENALTY, "no_repeat_ngram_size": NO_REPEAT_PHRASE}


@asynccontextmanager
async def copy_sample_store(topic: str, style: str) -> AsyncIterator[str]:
    """Copy the store of the sample corpus, yield the copy's path, and remove it in the end.

    The original lies in the cache, filled on the first call on this machine. Texts that are added
    go into the copy: they never get into the cache, nor to another process.

    Args:
        topic: The topic encoder by name.
        style: The style encoder by name.
    """
    original = await asyncio.to_thread(_place, topic, style)
    if not await asyncio.to_thread(original.exists):
        await _fill(original, topic, style)
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="patlm-sample-")
    try:
        yield str(await asyncio.to_thread(shutil.copytree, original, Path(folder) / "store"))
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _place(topic: str, style: str) -> Path:
    from ..models.encoders.style import FEATURES
    from ..models.installed import cache_folder
    from ..stores.datasets.sample import sample_corpus
    from ..stores.texts.schema import SCHEMA_VERSION

    names = "\x1f".join((topic, style, FEATURES, str(SCHEMA_VERSION), SAMPLE_FORMAT))
    made_of = sample_corpus().read_bytes() + names.encode()
    return cache_folder() / f"sample-store-{hashlib.sha1(made_of).hexdigest()[:12]}"


async def _fill(path: Path, topic: str, style: str) -> None:
    """Fill a temporary folder, then rename it: a killed process leaves no partial store."""
    rows = await asyncio.to_thread(_rows)
    from ..stores.datasets.ingest import ingest
    from ..stores.files import make_folder, put_folder

    await asyncio.to_thread(make_folder, path.parent)
    fresh = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=path.parent, prefix="sample-"))
    opened = open_store_and_encoders(
        str(fresh), encoder=topic, style_encoder=style, dtype=SAMPLE_FORMAT
    )
    async with opened as (store, _):
        await ingest(store, rows)
    await asyncio.to_thread(put_folder, fresh, path)


def _rows() -> RowFile:
    """Open the sample corpus. Runs in a thread, with its imports: both read the disk."""
    from ..stores.datasets import ingest  # noqa: F401 - so that they are loaded for the caller
    from ..stores.datasets.formats import read_texts
    from ..stores.datasets.sample import sample_corpus
    from ..stores.texts import store as text_store  # noqa: F401 - so that they are loaded for the caller

    return read_texts(sample_corpus())
