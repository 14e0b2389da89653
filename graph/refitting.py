"""Embed a store again: with statistics of its own first texts, or with an encoder by name."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from .encoders import OWN, SAMPLE_TEXTS, new_style_encoder

if TYPE_CHECKING:
    from ..stores.refit import Progress, Refitted


async def refit(uri: str, style: str = OWN, progress: Progress | None = None) -> Refitted:
    """Embed a store by another style encoder, without stopping those who use it.

    A store that an older version of patlm wrote is brought up to date first.

    Args:
        uri: Where it lies.
        style: `OWN`: the training-free encoder with statistics of the store's first texts; else a
            folder of `patlm train-encoder`, or a published encoder by path or hub id.
        progress: Told how many texts are embedded, and of how many.

    Raises:
        StoreError: There is no store, or other writers kept getting in the way.
        ModelError: The encoder can't be loaded.
    """
    await asyncio.to_thread(import_module, "..stores.style_records", __package__)
    from ..stores.style_records import first_bodies, refit_store

    first = await first_bodies(uri, SAMPLE_TEXTS)
    encoder = await new_style_encoder(uri, style, first)
    return await refit_store(uri, encoder, progress)
