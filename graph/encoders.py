"""Load a store's style and topic encoders, and re-embed a store with another style encoder.

A store contains its style encoder as an artefact (statistics of its first texts, or trained
weights), so an existing store determines the encoder it is opened with. A store is data, however:
it never decides which code, folder or hub id is loaded. An encoder that it only names, as a
published one, is loaded where the caller names it, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ..stores.errors import StoreError, shortened

if TYPE_CHECKING:
    from ..stores.texts.artefacts import Artefact
    from ..stores.texts.reembed import Progress, Reembedded
    from ..stores.texts.schema import RecordedEncoder
    from ..stores.types import Encoder

OWN = "store"
"""Name for the store's own style encoder."""

SAMPLE_TEXTS = 5_000
"""Number of a store's first texts that give the statistics of its style encoder."""

MIN_SAMPLE_TEXTS = 500
"""With fewer texts, the sample corpus gives the statistics, until `patlm reembed`."""


@dataclass(frozen=True)
class Encoders:
    """The two encoders of a store."""

    style: Encoder
    topic: Encoder


async def open_encoders(
    uri: str,
    topic: str = "bundled",
    style: str = OWN,
    first: Sequence[str] = (),
    dtype: str = "auto",
) -> Encoders:
    """Load the encoders of a store.

    Args:
        uri: Location of the store, which need not exist yet.
        topic: The topic encoder, see `models.encoders.open`.
        style: The style encoder: the store's own, a folder of `patlm train-encoder`, or a
            published one by path or hub id.
        first: The first texts of a new store.
        dtype: Number format of a new store's topic encoder (`models.device.choose_dtype`). In bf16
            the last digits of a vector depend on its batch.

    Raises:
        ModelError: An encoder is missing or can't be used.
        StoreError: The store can't be read, or does not contain its style encoder.
    """
    from ..models.encoders.open import number_format, open_topic_encoder
    from ..stores.texts.reembed import recorded_encoders

    recorded = await recorded_encoders(uri)
    # The store's number format: `auto` depends on the CPU, and the store may come from another one.
    if recorded is not None:
        dtype = number_format(recorded[1].version)
    topic_encoder = await asyncio.to_thread(open_topic_encoder, topic, dtype=dtype)
    if recorded is None:
        return Encoders(await new_style_encoder(uri, style, first), topic_encoder)
    return Encoders(await _style_encoder(uri, style, recorded[0]), topic_encoder)


async def _style_encoder(uri: str, named: str, recorded: RecordedEncoder) -> Encoder:
    from ..stores.texts.artefacts import find_artefact

    if named != OWN:
        return await asyncio.to_thread(_load, named)
    artefact = await find_artefact(uri, artefact_name(recorded.version))
    if artefact is None or not artefact.files:
        raise StoreError(
            f"the store at {uri} is filled with the style encoder {shortened(recorded.version)}, "
            "which it does not contain, and what a store only names is not loaded: name the "
            "encoder in PATLM_STYLE_ENCODER if you trust it, or embed the store again with a new "
            f"one: `patlm reembed --store {uri}`",
            code="encoder_missing",
        )
    return await asyncio.to_thread(_read, artefact.files)


async def new_style_encoder(uri: str, named: str, first: Sequence[str]) -> Encoder:
    """Build or load a style encoder, and save it as an artefact of the store.

    Args:
        uri: Location of the store, which need not exist yet.
        named: As in `open_encoders`; `OWN` builds one from statistics of `first`.
        first: The store's first texts; with fewer than `MIN_SAMPLE_TEXTS` the sample corpus is
            used instead.

    Raises:
        ModelError: The encoder is missing or can't be used.
    """
    from ..stores.texts.artefacts import keep_artefact

    if named == OWN:
        encoder = await asyncio.to_thread(_untrained, first)
    else:
        encoder = await asyncio.to_thread(_load, named)
    of_texts = named != OWN or len(first) >= MIN_SAMPLE_TEXTS
    await keep_artefact(uri, await asyncio.to_thread(_artefact, encoder, named, of_texts))
    return encoder


def artefact_name(version: str) -> str:
    """Return the name of a style encoder among a store's artefacts."""
    return f"style-encoder/{version}"


def _untrained(first: Sequence[str]) -> Encoder:
    from ..models.encoders.style import StyleEncoder
    from ..stores.datasets.formats import read_texts
    from ..stores.datasets.sample import sample_corpus
    from ..stores.types import Text

    if len(first) < MIN_SAMPLE_TEXTS:
        rows = read_texts(sample_corpus())
        first = [row.body for row in rows if isinstance(row, Text)]
    return StyleEncoder.untrained(first[:SAMPLE_TEXTS])


def _load(named: str) -> Encoder:
    from ..models.encoders.style import StyleEncoder

    return StyleEncoder.load(named)


def _artefact(encoder: Encoder, named: str, of_texts: bool) -> Artefact:
    from ..models.encoders.style import StyleEncoder
    from ..stores.texts.artefacts import OF_TEXTS, Artefact

    files = encoder.files() if isinstance(encoder, StyleEncoder) else {}
    about = {"named": named, OF_TEXTS: of_texts}
    return Artefact(artefact_name(encoder.version), about, files)


def _read(files: Mapping[str, bytes]) -> Encoder:
    from ..models.encoders.style import StyleEncoder

    return StyleEncoder.from_files(files)


async def reembed(uri: str, style: str = OWN, progress: Progress | None = None) -> Reembedded:
    """Embed a store again with another style encoder; see `stores.texts.reembed`.

    Args:
        uri: Location of the store.
        style: `OWN` for the training-free encoder with statistics of the store's first texts; else
            a folder of `patlm train-encoder`, or a published encoder by path or hub id.
        progress: Called with the number of embedded texts and the total.

    Raises:
        StoreError: The store does not exist, or another process kept writing to it.
        ModelError: The encoder can't be loaded.
    """
    await asyncio.to_thread(import_module, "..stores.texts.reembed", __package__)
    from ..stores.texts.reembed import first_bodies, reembed_store

    first = await first_bodies(uri, SAMPLE_TEXTS)
    encoder = await new_style_encoder(uri, style, first)
    return await reembed_store(uri, encoder, progress)
