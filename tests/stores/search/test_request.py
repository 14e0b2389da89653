"""Controls on real LanceDB: they differ from the aligned search in nothing but whose texts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from patlm.stores import Found, StoreLimits, TextStore
from patlm.stores.search.request import Selection
from store_fixtures import TEXTS, by_preference, by_style, from_memory_and_disk, opened, text

pytestmark = from_memory_and_disk

SIGNS = ["!!!", "...", "?", ",", ";", "-", "'", "0"]
CROWD = [
    text(
        f"user{number:02}",
        topic,
        # Each in words of their own: nearly equal texts would count once.
        f"{'Word' * (number % 3)} {topic} {chr(97 + number % 26) * (2 + number // 26)} "
        f"fine{chr(97 + number % 26)}{sign} " * (1 + number % 5),
        rating=float(1 + number % 5),
    )
    for number, sign in enumerate(SIGNS * 5)
    for topic in (f"topic{number % 4}", "tea")
]
Search = Callable[..., Awaitable[Found]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crowd") / "store"

    async def fill() -> None:
        async with opened(path) as store:
            await store.add([*TEXTS, *CROWD])

    asyncio.run(fill())
    return path


@pytest.fixture
async def crowd(filled: Path, limits: StoreLimits) -> AsyncIterator[TextStore]:
    """A store with a crowd, which is only read."""
    async with opened(filled, limits) as store:
        yield store


async def search_crowd(crowd: TextStore, by: Search, selection: Selection, seed: int = 0) -> Found:
    words = "Is it fine? Word by word?"
    return await by(crowd, "ann", words, "tea", selection=selection, seed=seed)


def users(found: Found) -> list[str]:
    return [hit.text.user_id for hit in found.hits]


both = pytest.mark.parametrize("by", [by_style, by_preference])


@both
async def test_random_ones_come_from_the_same_candidates_and_are_matched(
    crowd: TextStore, by: Search
) -> None:
    aligned = await search_crowd(crowd, by, "aligned")
    found = await search_crowd(crowd, by, "random")
    assert found.pool_size == aligned.pool_size > 20
    assert set(users(found)) != set(users(aligned)) and len(set(users(found))) == 4
    on_topic = by is by_preference
    assert all((hit.text.topic_id == "tea") == on_topic for hit in found.hits)
    for hit, like in zip(found.hits, aligned.hits, strict=True):
        lengths = [len(each.text.body.split()) for each in (hit, like)]
        assert max(lengths) < 1.4 * min(lengths) + 2
    same_rating = [
        h.text.rating == a.text.rating for h, a in zip(found.hits, aligned.hits, strict=True)
    ]
    assert sum(same_rating) >= 2
    assert all("drawn among all" in hit.reason for hit in found.hits)


@both
async def test_draws_repeat_with_the_seed(crowd: TextStore, by: Search) -> None:
    first, again = [users(await search_crowd(crowd, by, "random", 1)) for _ in range(2)]
    others = [users(await search_crowd(crowd, by, "random", seed)) for seed in range(2, 6)]
    assert first == again and any(other != first for other in others)


@both
async def test_anti_aligned_ones_are_the_far_end(crowd: TextStore, by: Search) -> None:
    aligned = await search_crowd(crowd, by, "aligned")
    found = await search_crowd(crowd, by, "anti_aligned")
    assert found.pool_size == aligned.pool_size
    assert max(hit.score for hit in found.hits) < min(hit.score for hit in aligned.hits)
    assert not set(users(found)) & set(users(aligned))
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores)


@both
async def test_texts_on_the_topic_by_relevance_alone(crowd: TextStore, by: Search) -> None:
    found = await search_crowd(crowd, by, "same_topic")
    assert {hit.text.topic_id for hit in found.hits} == {"tea"}
    assert "ann" not in users(found)
    assert not any("aligned" in hit.reason for hit in found.hits)


@both
async def test_texts_of_anybody_on_other_topics(crowd: TextStore, by: Search) -> None:
    found = await search_crowd(crowd, by, "random_topic")
    assert "tea" not in {hit.text.topic_id for hit in found.hits}
    assert len(set(users(found))) == 4 and "ann" not in users(found)


@both
@pytest.mark.parametrize("selection", ["random", "anti_aligned", "same_topic", "random_topic"])
async def test_controls_never_show_the_target(
    store: TextStore, by: Search, selection: Selection
) -> None:
    target = text("ann", "tea", "Green tea, warm and calm.", title="Calm", rating=5.0, target=True)
    copies = [text(f"thief{n}", topic, target.body) for n in range(3) for topic in ("tea", "rum")]
    await store.add([target, *copies, text("bob", "tea", "Tea!!!"), text("bob", "rum", "Rum!!!")])
    found = await by(store, "ann", "calm", "tea", selection=selection)
    assert users(found) == ["bob"]
