"""What one opener of a store writes or forgets, another one finds or misses at once."""

from pathlib import Path

from store_fixtures import TEXTS, by_preference, by_style, opened, text


async def names(search, store, words: str, topic: str | None) -> set[str]:
    found = await search(store, "nobody", words, topic, k=20)
    return {hit.text.user_id for hit in found.hits}


async def test_new_users_topics_and_texts_are_found_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.add(TEXTS)
        before = await names(by_style, other, "Cold milk.", None)
        assert before == {"ann", "bob", "cat", "dan", "eve"}
        await one.add([text("flo", "soup", "Hot soup, thick and good.")])
        assert await names(by_style, other, "Cold milk.", None) == before | {"flo"}
        assert await names(by_preference, other, "thick soup", "soup") == {"flo"}
        await one.add([text("ann", "soup", "Soup again, and good.")])
        assert await names(by_preference, other, "thick soup", "soup") == {"flo", "ann"}


async def test_who_was_forgotten_is_found_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.add(TEXTS)
        assert "ann" in await names(by_style, other, "Cold milk.", None)
        assert "ann" in await names(by_preference, other, "green tea", "tea")
        await one.forget("default", "ann")
        assert await names(by_style, other, "Cold milk.", None) == {"bob", "cat", "dan", "eve"}
        assert "ann" not in await names(by_preference, other, "green tea", "tea")
        await one.add([text("ann", "tea", "I am back.")])
        assert "ann" in await names(by_preference, other, "back", "tea")
        assert "ann" in await names(by_style, other, "Cold milk.", None)
