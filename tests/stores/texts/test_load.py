from collections.abc import Iterator
from pathlib import Path

import numpy as np
from patlm.stores import Added, Embedded, EncoderMismatch
from raising import raises
from store_fixtures import STYLE, TEXTS, TOPIC, by_preference, by_style, opened


def embedded(texts: list) -> Embedded:
    return Embedded(
        texts,
        STYLE.encode([each.body for each in texts]),
        TOPIC.encode([f"{each.title}\n{each.body}".strip() for each in texts]),
    )


async def test_loaded_texts_are_found_as_added_ones_are(tmp_path: Path) -> None:
    async with opened(tmp_path / "added") as added, opened(tmp_path / "loaded") as loaded:
        await added.add(TEXTS)
        encoded = STYLE.encoded
        batches = (embedded(TEXTS[at : at + 4]) for at in range(0, len(TEXTS), 4))
        assert await loaded.load(batches) == Added(added=len(TEXTS))
        assert STYLE.encoded == encoded + len(TEXTS)  # by this test alone
        for search in (by_style, by_preference):
            found = await search(loaded, "ann", "Cold milk, plain and good.", "tea")
            assert found == await search(added, "ann", "Cold milk, plain and good.", "tea")
            assert found.hits


async def test_a_text_that_is_there_is_not_loaded_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS[:3])
        twice = [*TEXTS, TEXTS[4]]
        assert await store.load([embedded(twice)]) == Added(len(TEXTS) - 3, duplicates=4)
        assert (await store.stats()).texts == len(TEXTS)


async def test_vectors_of_another_dimension_are_refused_and_the_batches_before_kept(
    tmp_path: Path,
) -> None:
    def batches() -> Iterator[Embedded]:
        yield embedded(TEXTS[:3])
        yield Embedded(TEXTS[3:], np.zeros((6, 7), np.float32), np.zeros((6, 32), np.float32))

    async with opened(tmp_path) as store:
        with raises(EncoderMismatch, "wrong_vectors", (6, 24), (6, 7)):
            await store.load(batches())
        assert (await store.stats()).texts == 3
