"""Deterministic encoders and small texts for tests of the store."""

import asyncio
import contextlib
import re
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patlm.graph.encoders import Encoders
from patlm.stores import EncoderMismatch, Found, StoreLimits, Text, TextStore, Vectors
from patlm.stores.search.request import SearchRequest


def hashed_vector(tokens: Sequence[str], dimension: int) -> Vectors:
    """Return a unit vector that counts tokens in hashed, signed buckets."""
    vector = np.zeros(dimension)
    for token in tokens:
        code = zlib.crc32(token.encode())
        vector[code % dimension] += 1 if code & 0x10000 else -1
    length = np.linalg.norm(vector)
    if length == 0:
        vector[0] = length = 1
    return (vector / length).astype(np.float32)


class HashedEncoder:
    """Texts that share tokens are near each other: real semantics, at no cost."""

    def __init__(
        self, version: str, dimension: int, tokens: Callable[[str], Sequence[str]]
    ) -> None:
        self.version, self.dimension, self._tokens = version, dimension, tokens
        self.encoded = 0

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.encoded += len(texts)
        rows = [hashed_vector(self._tokens(text), self.dimension) for text in texts]
        return np.array(rows, np.float32).reshape(-1, self.dimension)


def topic_encoder(version: str = "words-1", dimension: int = 32) -> HashedEncoder:
    """Return an encoder of words: what a text is about."""
    return HashedEncoder(version, dimension, lambda text: re.findall(r"\w{3,}", text.lower()))


def style_encoder(version: str = "signs-1", dimension: int = 24) -> HashedEncoder:
    """Return an encoder of case, digits and punctuation: how a text is written."""

    def shape(text: str) -> list[str]:
        shapes = re.sub(r"[a-z]", "a", re.sub(r"[A-Z]", "A", re.sub(r"\d", "0", text)))
        return [shapes[at : at + 2] for at in range(len(shapes) - 1)]

    return HashedEncoder(version, dimension, shape)


async def cheap_encoders(*_: object) -> Encoders:
    """Stand in for `opening.open_encoders`."""
    return Encoders(style_encoder(), topic_encoder())


def text(user: str, topic: str, body: str, **given: object) -> Text:
    """Return a text by its three main parts."""
    return Text(user_id=user, topic_id=topic, body=body, **given)  # type: ignore[arg-type]


STYLE, TOPIC = style_encoder(), topic_encoder()

TEXTS = [
    text("ann", "tea", "Green tea, warm and calm.", title="Calm", rating=5.0, target=True),
    text("ann", "milk", "Cold milk, plain and good.", rating=4.0, position=1),
    text("ann", "jam", "Sweet jam, thick and red.", rating=4.0, position=2),
    text("bob", "tea", "STRONG BLACK TEA!!! YES!!!", rating=5.0),
    text("bob", "milk", "MILK IS GREAT!!! 100%", rating=4.0),
    text("cat", "tea", "Pale tea, mild and calm.", rating=2.0),
    text("cat", "bread", "Dark bread, dense and sour.", rating=3.0),
    text("dan", "tea", "a tea like any other tea"),
    text("eve", "", "Loose words, soft and slow."),
]


from_memory_and_disk = pytest.mark.parametrize(
    "limits", [StoreLimits(), StoreLimits(resident_texts=-1)], ids=["memory", "disk"]
)
"""Where texts are read from: a small namespace's from memory, a large one's from disk."""


@contextlib.asynccontextmanager
async def opened(path: Path, limits: StoreLimits = StoreLimits()) -> AsyncIterator[TextStore]:
    """Open a store with the encoders of this module."""
    async with TextStore.open(
        str(path), style_encoder=STYLE, topic_encoder=TOPIC, limits=limits
    ) as store:
        yield store


async def by_style(
    store: TextStore, user: str, words: str, topic: str | None, k: int = 4, **more: Any
) -> Found:
    history = await store.history("default", user, topic_id=topic)
    query = STYLE.encode([words])[0]
    return await store.search_by_style(SearchRequest(history, query, words, topic, k, **more))


async def by_preference(
    store: TextStore, user: str, words: str, topic: str | None, k: int = 4, **more: Any
) -> Found:
    history = await store.history("default", user, topic_id=topic)
    query = TOPIC.encode([words])[0]
    return await store.search_by_preference(SearchRequest(history, query, words, topic, k, **more))


def write_until_refused(uri: Path, kept: Path) -> None:
    """Add text after text in a process of its own, noting each that was kept, until refused."""

    async def write() -> None:
        async with opened(uri) as store:
            with kept.open("w", buffering=1) as notes:
                for number in range(100_000):
                    try:
                        await store.add([text(f"writer{number % 5}", "tea", f"Note {number}!")])
                    except EncoderMismatch:
                        return
                    notes.write(f"Note {number}!\n")

    asyncio.run(write())
