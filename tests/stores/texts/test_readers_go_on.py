"""Hundreds of searches while a store is filled and compacted: none fails or misses a text."""

import asyncio
from pathlib import Path

from patlm.stores import Text, TextStore
from patlm.stores.search.request import SearchRequest
from store_fixtures import STYLE, TOPIC, opened, text

SEARCHES = 300
READERS = 4


def batch(number: int) -> list[Text]:
    """Return 40 texts of 40 people on one topic, told apart by a word of their own."""
    return [
        text(f"user{person}", f"topic{number % 20}", f"Word{number}x{person} for tea. {'Oh! ' * 3}")
        for person in range(40)
    ]


class Known:
    """The texts that were acknowledged, in their order."""

    def __init__(self) -> None:
        self.texts: list[Text] = []
        self.searches = 0

    async def write(self, store: TextStore, numbers: range) -> None:
        for number in numbers:
            texts = batch(number)
            await store.add(texts)
            self.texts += texts

    async def read(self, store: TextStore) -> None:
        """Search for one text after the other, each on both sides."""
        while self.searches < SEARCHES:
            self.searches += 1
            wanted = self.texts[-1 - (self.searches * 7) % len(self.texts)]
            history = await store.history("default", "nobody", topic_id=wanted.topic_id)
            query = TOPIC.encode([wanted.body])[0]
            found = await store.search_by_preference(
                SearchRequest(history, query, wanted.body, topic_id=wanted.topic_id, k=5)
            )
            assert wanted in [hit.text for hit in found.hits]
            query = STYLE.encode([wanted.body])[0]
            everybody = self.searches % 10 == 0
            found = await store.search_by_style(
                SearchRequest(history, query, topic_id=None, k=50 if everybody else 5)
            )
            assert (len(found.hits), found.pool_size) == (40 if everybody else 5, 40)


async def test_searches_go_on_during_writes_and_compactions(tmp_path: Path) -> None:
    known = Known()
    async with opened(tmp_path) as reading, opened(tmp_path) as writing:
        await known.write(writing, range(10))
        readers = [asyncio.create_task(known.read(reading)) for _ in range(READERS)]
        number = 10
        while known.searches < SEARCHES:
            await known.write(writing, range(number, number + 5))
            number += 5
            assert (await writing.compact(threshold=0)).compacted
        await asyncio.gather(*readers)
        assert (await reading.stats()).texts == len(known.texts)
