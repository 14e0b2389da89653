"""A store on an object store: the same as in a folder, against a server that speaks S3."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from patlm.stores import StoreStats, TextStore
from patlm.stores.texts.reembed import reembed_store
from servers import BUCKET, s3_bucket
from store_fixtures import STYLE, TEXTS, TOPIC, by_preference, by_style, opened, style_encoder

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_bucket(tmp_path_factory.mktemp("s3")) as variables:
        yield variables


@pytest.fixture
def uri(
    bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{request.node.name}"


async def found_in(store: TextStore) -> list[object]:
    """Return what some searches find: texts, scores and reasons."""
    style = await by_style(store, "ann", "calm words, soft", "tea")
    preference = await by_preference(store, "ann", "warm tea", "tea")
    nowhere = await by_preference(store, "nobody", "dark bread", None)
    return [style.hits, preference.hits, nowhere.hits]


@pytest.mark.slow
async def test_it_finds_and_forgets_as_a_folder_does(uri: str, tmp_path: Path) -> None:
    async with TextStore.open(uri, style_encoder=STYLE, topic_encoder=TOPIC) as store:
        await store.add(TEXTS)
        remote = await found_in(store)
    async with opened(tmp_path / "store") as local:
        await local.add(TEXTS)
        assert await found_in(local) == remote
    assert all(remote)
    async with TextStore.open(uri, style_encoder=STYLE, topic_encoder=TOPIC) as again:
        assert await found_in(again) == remote
        stats: StoreStats = await again.stats()
        assert stats.texts == len(TEXTS)
        receipt = await again.forget("default", "bob")
        assert receipt.removed["texts"] == 2
        # There are no files to look into; that is said, not claimed.
        assert receipt.bytes_found_before is None is receipt.bytes_found_after
        assert not (await again.history("default", "bob")).texts
        assert (await again.add(TEXTS)).added == 2


@pytest.mark.slow
async def test_it_is_embedded_again(uri: str, tmp_path: Path) -> None:
    new = style_encoder("signs-2", dimension=40)
    async with TextStore.open(uri, style_encoder=STYLE, topic_encoder=TOPIC) as store:
        await store.add(TEXTS)
    assert (await reembed_store(uri, new)).texts == len(TEXTS)
    async with TextStore.open(uri, style_encoder=new, topic_encoder=TOPIC) as store:
        assert (await store.stats()).users == len({one.user_id for one in TEXTS})
        found = await by_preference(store, "ann", "warm tea", "tea")
        assert {hit.text.user_id for hit in found.hits} == {"bob", "cat", "dan"}
