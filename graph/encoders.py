"""Load the two encoders of a store, and embed a store again with another style encoder.

A store keeps its style encoder as an artefact: statistics of its first texts, or trained weights.
So an existing store decides which encoder it is opened with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ..stores.errors import StoreError

if TYPE_CHECKING:
    from ..stores.texts.artefacts import Artefact
    from ..stores.texts.reembed import Progress, Reembedded
    from ..stores.texts.schema import RecordedEncoder
    from ..stores.types import Encoder

OWN = "store"
"""Name of the style encoder that a store is filled with."""

SAMPLE_TEXTS = 5_000
"""First texts of a store that its style encoder's statistics are taken from."""

LEAST_SAMPLE = 500
"""With fewer, those of the sample corpus serve, until `patlm reembed`."""


@dataclass(frozen=True)
class Encoders:
    """What texts are embedded by."""

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
        uri: Where it lies, or will.
        topic: The topic encoder: bundled, a path or a hub id.
        style: The style encoder: that of the store, a folder of `patlm train-encoder`, or a
            published one by path or hub id.
        first: The texts that a new store will begin with.
        dtype: Number format of a new store's topic encoder (`models.device.choose_dtype`). In bf16
            a vector's last digits depend on what shared its batch.

    Raises:
        ModelError: There is no encoder of that name, or it can't be used.
        StoreError: The store can't be read, or does not keep its style encoder.
    """
    from ..models.encoders.sentence import number_format, open_topic_encoder
    from ..stores.texts.reembed import recorded_encoders

    recorded = await recorded_encoders(uri)
    # In the format that the store was filled in: which is the faster one depends on the CPU, and
    # a store may be opened on another than it was made on.
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
    if artefact is None:
        raise StoreError(
            f"the store at {uri} is filled with the style encoder {recorded.version!r}, which is "
            "not kept with it: name the encoder by PATLM_STYLE_ENCODER, or embed the store again "
            f"by one of ours: `patlm reembed --store {uri}`"
        )
    return await asyncio.to_thread(_loaded, artefact)


async def new_style_encoder(uri: str, named: str, first: Sequence[str]) -> Encoder:
    """Make or load a style encoder, and keep it with the store.

    Args:
        uri: Where the store lies, or will.
        named: As in `open_encoders`; `OWN`: statistics of `first`.
        first: Its first texts; where they are few, those of the sample corpus serve.

    Raises:
        ModelError: There is no encoder of that name, or it can't be used.
    """
    from ..stores.texts.artefacts import keep_artefact

    if named == OWN:
        encoder = await asyncio.to_thread(_untrained, first)
    else:
        encoder = await asyncio.to_thread(_load, named)
    await keep_artefact(uri, await asyncio.to_thread(_artefact, encoder, named))
    return encoder


def artefact_name(version: str) -> str:
    """Return what a style encoder goes by among a store's artefacts."""
    return f"style-encoder/{version}"


def _untrained(first: Sequence[str]) -> Encoder:
    from ..models.encoders.style import StyleEncoder
    from ..stores.datasets.formats import read_texts
    from ..stores.datasets.sample import sample_corpus
    from ..stores.types import Text

    if len(first) < LEAST_SAMPLE:
        rows = read_texts(sample_corpus())
        first = [row.body for row in rows if isinstance(row, Text)]
    return StyleEncoder.untrained(first[:SAMPLE_TEXTS])


def _load(named: str) -> Encoder:
    from ..models.encoders.style import StyleEncoder

    return StyleEncoder.load(named)


def _artefact(encoder: Encoder, named: str) -> Artefact:
    from ..models.encoders.style import StyleEncoder
    from ..stores.texts.artefacts import Artefact

    files = encoder.files() if isinstance(encoder, StyleEncoder) else {}
    return Artefact(artefact_name(encoder.version), {"named": named}, files)


def _loaded(artefact: Artefact) -> Encoder:
    from ..models.encoders.style import StyleEncoder

    if artefact.files:
        return StyleEncoder.from_files(artefact.files)
    return StyleEncoder.load(str(artefact.about["named"]))


async def reembed(uri: str, style: str = OWN, progress: Progress | None = None) -> Reembedded:
    """Embed a store again with another style encoder; see `stores.texts.reembed`.

    Args:
        uri: Where it lies.
        style: `OWN`: the training-free encoder with statistics of the store's first texts; else a
            folder of `patlm train-encoder`, or a published encoder by path or hub id.
        progress: Called with how many texts are embedded, and of how many.

    Raises:
        StoreError: There is no store, or another process kept writing into it.
        ModelError: The encoder can't be loaded.
    """
    await asyncio.to_thread(import_module, "..stores.texts.reembed", __package__)
    from ..stores.texts.reembed import first_bodies, reembed_store

    first = await first_bodies(uri, SAMPLE_TEXTS)
    encoder = await new_style_encoder(uri, style, first)
    return await reembed_store(uri, encoder, progress)
