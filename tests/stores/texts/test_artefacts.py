from pathlib import Path

from patlm.stores import Artefact, TextStore
from store_fixtures import style_encoder, text, topic_encoder


async def test_an_artefact_outlives_the_process_that_kept_it(tmp_path: Path) -> None:
    weights = bytes(range(256)) * 40
    kept = Artefact("graph", {"gain": 0.125}, {"a/weights.bin": weights, "about.txt": b"x"})
    encoders = {"style_encoder": style_encoder(), "topic_encoder": topic_encoder()}
    async with TextStore.open(str(tmp_path), **encoders) as store:
        assert await store.artefact("graph") is None
        await store.add([text("ann", "kettle", "Boils fast.")])
        await store.keep_artefact(kept)

    async with TextStore.open_existing(str(tmp_path)) as store:
        assert await store.artefact("graph") == kept
        assert await store.artefact("graphs") is None
        assert (await store.stats()).texts == 1


async def test_the_last_of_one_name_replaces_the_others(tmp_path: Path) -> None:
    encoders = {"style_encoder": style_encoder(), "topic_encoder": topic_encoder()}
    async with TextStore.open(str(tmp_path), **encoders) as store:
        await store.keep_artefact(Artefact("it's", {}, {"one": b"1", "two": b"2"}))
        await store.keep_artefact(Artefact("other", {}, {}))
        await store.keep_artefact(Artefact("it's", {"step": 2}, {"three": b"3"}))
        assert await store.artefact("it's") == Artefact("it's", {"step": 2}, {"three": b"3"})
        assert await store.artefact("other") == Artefact("other", {}, {})
