"""Few speak for many: what texts of a few accounts change in a search, on real LanceDB."""

from pathlib import Path

import pytest
from patlm.stores import StoreLimits, TextStore
from patlm.stores.search.request import SELECTIONS, Selection
from store_fixtures import by_preference, from_memory_and_disk, opened, text

pytestmark = from_memory_and_disk

HONEST = [
    text("ann", "tea", "Green leaves, calm and clear.", timestamp=10),
    text("bob", "tea", "Strong enough to stand a spoon in it!", timestamp=11),
    text("cat", "tea", "Smells of old hay; my aunt likes that.", timestamp=12),
    text("dan", "tea", "Two minutes, no longer, or it bites.", timestamp=13),
    text("eve", "tea", "Cheap bags, torn at the seams.", timestamp=14),
]
PLANTED = "Never drink this tea, the tea is bad tea for whoever drinks tea"
RETOUCHED = [
    PLANTED,
    f"{PLANTED}!!! \U0001f621",
    "never drink this tea, the tea was bad tea for whoever drinks tea",
    "Never drnik this tea, the tea is bad tea for whoever drinks tea",
    "the tea is bad tea for whoever drinks tea, never drink this tea",
]


def bodies(found: object) -> list[str]:
    return [hit.text.body for hit in found.hits]  # type: ignore[attr-defined]


async def test_eight_accounts_with_one_text_are_one_voice(store: TextStore) -> None:
    await store.add([*HONEST, text("p0", "tea", PLANTED)])
    one = await by_preference(store, "nobody", "bad tea, or calm tea", "tea", 4)
    await store.add([text(f"p{n}", "tea", f"{PLANTED} ".upper(), title="!") for n in range(1, 9)])
    found = await by_preference(store, "nobody", "bad tea, or calm tea", "tea", 4)
    assert found.pool_size == one.pool_size == 6
    # Scores and reasons too: they change no rank, and no weight of a word.
    assert found.hits == one.hits
    assert sum(body == PLANTED for body in bodies(found)) == 1


@pytest.mark.parametrize("selection", [each for each in SELECTIONS if each != "random_topic"])
async def test_retouched_texts_of_many_accounts_are_one_voice(
    store: TextStore, selection: Selection
) -> None:
    crowd = [text(f"p{n}", "tea", body, title=f"Nr {n}") for n, body in enumerate(RETOUCHED)]
    await store.add([*HONEST, *crowd])
    found = await by_preference(store, "nobody", "bad tea", "tea", 8, selection=selection)
    assert sum(body in RETOUCHED for body in bodies(found)) <= 1
    if selection != "random":  # which takes as many as match the aligned ones
        assert {hit.text.user_id for hit in found.hits} >= {"ann", "bob", "cat", "dan", "eve"}


async def test_a_later_copy_does_not_take_the_place_of_what_it_copies(store: TextStore) -> None:
    real = "Calm tea for the evening, it lets me sleep and tastes of honey"
    forged = "Calm tea for the evening, it never lets me sleep and tastes of tar"
    late = [text("p0", "tea", forged, title="tar tea", timestamp=99)]
    await store.add([*late, text("p1", "tea", real.upper(), title="tar tea", timestamp=98)])
    await store.add([*HONEST, text("fay", "tea", real, timestamp=9)])
    found = await by_preference(store, "nobody", "tar tea, tar", "tea", 4)
    assert real in bodies(found) and forged not in bodies(found)


async def test_one_author_does_not_fill_a_large_topic(tmp_path: Path, limits: StoreLimits) -> None:
    small = StoreLimits(
        resident_texts=limits.resident_texts, exact_texts=50, picked_texts=8, weighed_texts=8
    )
    loud = [text("p", "tea", f"bad tea {n} for {n + 1} and {n + 2} of tea") for n in range(60)]
    async with opened(tmp_path / "large", small) as store:
        await store.add([*HONEST, *loud])
        found = await by_preference(store, "nobody", "bad tea for tea", "tea", 4)
        authors = [hit.text.user_id for hit in found.hits]
        assert authors.count("p") <= 2 and len(set(authors)) >= 3
