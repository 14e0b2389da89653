"""The store on real LanceDB: adding, looking back, searching, namespaces, upkeep."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import lancedb
import numpy as np
import pytest
from patlm.stores import (
    Added,
    EncoderMismatch,
    InvalidFilter,
    InvalidQuery,
    InvalidText,
    SchemaMismatch,
    Text,
    TextStore,
)
from store_fixtures import HashedEncoder, style_encoder, text, topic_encoder

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


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[TextStore]:
    async with TextStore.open(str(path), style_encoder=STYLE, topic_encoder=TOPIC) as store:
        yield store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TextStore]:
    async with opened(tmp_path / "store") as store:
        yield store


async def by_style(store: TextStore, user: str, words: str, topic: str | None, k: int = 4):
    history = await store.history("default", user, topic_id=topic)
    return await store.search_by_style(history, STYLE.encode([words])[0], topic_id=topic, k=k)


async def by_preference(store: TextStore, user: str, words: str, topic: str | None, k: int = 4):
    history = await store.history("default", user, topic_id=topic)
    query = TOPIC.encode([words])[0]
    return await store.search_by_preference(history, query, words, topic_id=topic, k=k)


async def test_adding_the_same_again_changes_nothing(store: TextStore) -> None:
    assert await store.add([*TEXTS, TEXTS[0]]) == Added(added=9, duplicates=1)
    version, encoded = store.version, TOPIC.encoded
    assert await store.add(iter(TEXTS)) == Added(added=0, duplicates=9)
    assert store.version == version
    assert TOPIC.encoded == encoded, "what is known is not embedded again"
    assert await store.add([text("fay", "tea", "New.")]) == Added(added=1)
    assert store.version > version


async def test_a_text_comes_back_as_it_was_written(store: TextStore) -> None:
    odd = Text(
        user_id="o'neil",
        topic_id="x' OR '1'='1",
        body=" two  spaces\n\tand a tab,\xa0 and 漢字 🙂 ",
        title="",
        rating=4.5,
        timestamp=1_700_000_000_123,
        position=7,
        language="pt",
        shared=False,
        shared_id=True,
        namespace="acme",
    )
    await store.add([odd])
    history = await store.history("acme", "o'neil")
    assert history.texts == (odd,)
    assert history.style.shape == (1, STYLE.dimension)
    assert history.style[0] == pytest.approx(STYLE.encode([odd.body])[0], abs=1e-6)
    assert history.topic_vectors[0] == pytest.approx(TOPIC.encode([odd.body])[0], abs=1e-6)


async def test_history_is_the_requesters_side(store: TextStore) -> None:
    copy = text("ann", "jam", "  green TEA, warm and\ncalm. ", position=3)
    bare_title = text("ann", "rum", "", title="A target may have no body", target=True)
    await store.add([*TEXTS, copy, bare_title])
    history = await store.history("default", "ann", topic_id="jam")
    # Not the target, not the copy of the target, not what is on the topic.
    assert [own.topic_id for own in history.texts] == ["milk"]
    # But all of it is left out of the topics' vectors.
    assert {topic: count for topic, (_, count) in history.contributed.items()} == {
        "tea": 1,
        "milk": 1,
        "jam": 2,
        "rum": 1,
    }
    assert history.hidden_bodies == {"green tea, warm and calm."}
    stranger = await store.history("default", "nobody", topic_id="jam")
    assert stranger.texts == ()
    assert stranger.style.shape == (0, STYLE.dimension)
    assert stranger.topic_vectors.shape == (0, TOPIC.dimension)


async def test_history_is_latest_first(store: TextStore) -> None:
    await store.add(
        [
            text("ann", "a", "third place", position=3),
            text("ann", "b", "first place", position=1),
            text("ann", "c", "an old time", timestamp=10, position=0),
            text("ann", "d", "a new time", timestamp=20, position=0),
        ]
    )
    history = await store.history("default", "ann")
    assert [own.topic_id for own in history.texts] == ["d", "c", "a", "b"]


async def test_style_finds_users_and_one_telling_text_of_each(store: TextStore) -> None:
    await store.add(TEXTS)
    found = await by_style(store, "ann", "Hot soup, thin and pale.", "tea")
    # Neither ann nor dan, all of whose texts are on the topic.
    assert found.pool_size == 3
    users = [hit.text.user_id for hit in found.hits]
    assert sorted(users) == ["bob", "cat", "eve"]
    assert users[-1] == "bob"
    assert "tea" not in {hit.text.topic_id for hit in found.hits}
    assert [near.user_id for near in found.neighbours] == users
    scores = [near.score for near in found.neighbours]
    assert scores == sorted(scores, reverse=True)
    assert [hit.score for hit in found.hits] == scores
    cat = next(hit for hit in found.hits if hit.text.user_id == "cat")
    assert cat.reason == f"writes alike: cosine {cat.score:.2f} over 2 texts"


async def test_style_without_a_topic_leaves_nothing_out(store: TextStore) -> None:
    await store.add(TEXTS)
    found = await by_style(store, "ann", "GREAT!!!", None, k=2)
    assert found.pool_size == 4
    assert len(found.hits) == 2
    assert found.hits[0].text.user_id == "bob"
    assert (await by_style(store, "ann", "GREAT!!!", "", k=4)).pool_size == 4


async def test_preference_ranks_the_texts_of_others_on_the_topic(store: TextStore) -> None:
    await store.add(TEXTS)
    found = await by_preference(store, "nobody", "mild calm tea", "tea")
    assert (found.topic_known, found.topics, found.pool_size) == (True, ("tea",), 4)
    assert [hit.text.user_id for hit in found.hits][0] == "cat"
    assert all(hit.text.topic_id == "tea" for hit in found.hits)
    # Nobody of whom nothing is known is nearer than another.
    assert {near.score for near in found.neighbours} == {0.5}
    assert found.hits[0].reason == "wrote on this topic; words rank 1 of 4, topic cosine " + (
        f"{float(TOPIC.encode(['mild calm tea'])[0] @ TOPIC.encode([TEXTS[5].body])[0]):.2f}"
    )
    assert found.hits[0].score == 1.0


async def test_preference_prefers_the_aligned(store: TextStore) -> None:
    same = "the very same words"
    await store.add(
        [
            text("ann", "milk", "milk", rating=5.0),
            text("foe", "milk", "Milk?", rating=1.0),
            text("friend", "milk", "Milk!", rating=5.0),
            text("foe", "tea", same),
            text("friend", "tea", same),
        ]
    )
    found = await by_preference(store, "ann", "same words", "tea")
    assert [hit.text.user_id for hit in found.hits] == ["friend", "foe"]
    assert [near.user_id for near in found.neighbours] == ["friend", "foe"]
    # Both share ann's one topic (cosine 1); ratings agree wholly and not at all.
    assert [near.score for near in found.neighbours] == pytest.approx([1.0, 0.5])
    assert [hit.score for hit in found.hits] == pytest.approx([1.5, 1.0])
    assert found.hits[0].reason.endswith(
        "aligned 1.00 (interests cosine 1.00, ratings agree 1.00 on 1 shared topic)"
    )


async def test_one_text_of_each_author_comes_first(store: TextStore) -> None:
    await store.add(
        [text("bob", "tea", f"tea tea tea {n}") for n in range(3)]
        + [text("cat", "tea", "something else")]
    )
    assert {h.text.user_id for h in (await by_preference(store, "x", "tea", "tea", 2)).hits} == {
        "bob",
        "cat",
    }
    found = await by_preference(store, "x", "tea", "tea", 3)
    assert [hit.text.user_id for hit in found.hits] == ["bob", "bob", "cat"]


@pytest.mark.parametrize(
    ("topic", "lack"),
    [(None, "no topic given"), ("", "no topic given"), ("rum", "topic rum not in the store")],
)
async def test_without_a_known_topic_the_nearest_serve(
    store: TextStore, topic: str | None, lack: str
) -> None:
    await store.add(TEXTS)
    found = await by_preference(store, "nobody", "dark dense sour bread", topic)
    assert not found.topic_known
    assert found.topics[0] == "bread"
    assert "" not in found.topics
    assert found.hits[0].text.topic_id == "bread"
    assert found.hits[0].reason.startswith(f"{lack}: nearest topic bread, cosine ")


async def test_a_topic_of_ones_own_is_not_known(store: TextStore) -> None:
    await store.add(TEXTS)
    found = await by_preference(store, "ann", "sweet jam", "jam")
    assert not found.topic_known
    assert "jam" not in found.topics
    assert "ann" not in {hit.text.user_id for hit in found.hits}


async def test_an_empty_store_answers(store: TextStore) -> None:
    assert (await by_style(store, "ann", "any", "tea")).hits == ()
    found = await by_preference(store, "ann", "any", "tea")
    assert (found.hits, found.topic_known, found.pool_size) == ((), False, 0)


async def test_an_unshared_text_serves_only_its_author(store: TextStore) -> None:
    secret = text("ann", "tea", "My secret tea.", shared=False)
    await store.add([*TEXTS, secret])
    assert secret in (await store.history("default", "ann", topic_id="milk")).texts
    for user in ("bob", "nobody"):
        hits = (await by_preference(store, user, "secret tea", "tea", k=50)).hits
        hits += (await by_style(store, user, "My secret tea.", None, k=50)).hits
        assert secret not in {hit.text for hit in hits}
    # Nor do its words or vectors move anything.
    alone = text("fay", "rum", "Only a secret.", shared=False)
    await store.add([alone])
    assert not (await by_preference(store, "bob", "only a secret", "rum")).topic_known
    assert (await by_style(store, "bob", "Only", None, k=50)).pool_size == 4


async def test_namespaces_never_mix(store: TextStore) -> None:
    here = [text("ann", "tea", f"Here {n}.") for n in range(3)] + [text("bob", "tea", "Here.")]
    there = [text("ann", "tea", f"There {n}.", namespace="acme") for n in range(2)] + [
        text("bob", "tea", "There.", namespace="acme"),
        text("zoe", "x", "Z", namespace="acme"),
    ]
    await store.add([item for pair in zip(here, there, strict=True) for item in pair])
    for namespace, word, mine in (("default", "Here", 3), ("acme", "There", 2)):
        history = await store.history(namespace, "ann")
        assert [own.body.split()[0] for own in history.texts] == [word] * mine
        stranger = await store.history(namespace, "nobody")
        query = TOPIC.encode([f"{word} there here"])[0]
        for topic in ("tea", None):
            found = await store.search_by_preference(
                stranger, query, "there here", topic_id=topic, k=50
            )
            assert {hit.text.namespace for hit in found.hits} == {namespace}
            assert {hit.text.body.split()[0].rstrip(".") for hit in found.hits} <= {word, "Z"}
        found = await store.search_by_style(
            stranger, STYLE.encode(["Here."])[0], topic_id=None, k=50
        )
        assert {hit.text.namespace for hit in found.hits} == {namespace}
    stats = await store.stats()
    assert (stats.namespaces, stats.users, stats.topics, stats.texts) == (2, 5, 3, 8)


async def test_a_namespace_must_be_named(store: TextStore) -> None:
    with pytest.raises(InvalidFilter):
        await store.history("", "ann")
    with pytest.raises(InvalidFilter):
        await store.history("__patlm__", "ann")
    for bad in (
        text("", "tea", "no user"),
        text("ann", "tea", "reserved", namespace="__patlm__"),
        text("ann", "tea", "half a \ud800 sign"),
        text("a\x00", "tea", "NUL"),
    ):
        with pytest.raises(InvalidText):
            await store.add([bad])
    assert (await store.stats()).texts == 0


async def test_a_query_has_a_shape(store: TextStore) -> None:
    history = await store.history("default", "ann")
    with pytest.raises(InvalidQuery, match=r"\(24,\).*\(32,\)"):
        await store.search_by_style(history, TOPIC.encode(["x"])[0], topic_id=None, k=1)
    with pytest.raises(InvalidQuery, match="k >= 1"):
        await store.search_by_preference(history, TOPIC.encode(["x"])[0], "x", topic_id=None, k=0)


async def test_new_rows_are_found_at_once(store: TextStore) -> None:
    await store.add(TEXTS)
    await store.compact(threshold=0)
    assert (await by_preference(store, "nobody", "tea", "tea")).pool_size == 4
    await store.add([text("gil", "tea", "Fresh tea."), text("gil", "rice", "Fresh, ripe rice.")])
    assert (await by_preference(store, "nobody", "fresh", "tea")).hits[0].text.user_id == "gil"
    assert (await by_style(store, "nobody", "Fresh, ripe rice.", "tea")).pool_size == 5
    assert len((await store.history("default", "gil")).texts) == 2


async def test_another_opening_sees_what_one_writes(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.add(TEXTS)
        assert (await by_preference(other, "nobody", "tea", "tea")).pool_size == 4
        version = other.version
        await one.add([text("gil", "tea", "Fresh tea.")])
        assert (await by_preference(other, "nobody", "fresh", "tea")).pool_size == 5
        assert other.version > version
        assert await other.add(TEXTS) == Added(duplicates=9)


async def test_two_openings_write_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        parts = [
            [text(f"u{n % 7}", f"t{n % 5}", f"text {n} of {s}") for n in range(30)] for s in "ab"
        ]
        await asyncio.gather(
            *(one.add(parts[0][at : at + 6]) for at in range(0, 30, 6)),
            *(other.add(parts[1][at : at + 6]) for at in range(0, 30, 6)),
            one.add(parts[1]),
        )
        assert (await one.stats()).texts == 60
        users = await one._snapshots.users("default")
        assert int(users.shared.sum()) == 60


async def test_a_large_topic_is_ranked_by_its_best(
    store: TextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patlm.stores.preference_search.EXACT_TEXTS", 5)
    monkeypatch.setattr("patlm.stores.preference_search.PICKED_TEXTS", 10)
    await store.add([text(f"u{n:02}", "tea", f"plain words number {n}") for n in range(40)])
    await store.add([text("zed", "tea", "Exquisite oolong.", title="Best")])
    found = await by_preference(store, "u01", "exquisite", "tea")
    assert (found.hits[0].text.user_id, found.pool_size) == ("zed", 1)
    assert (await by_preference(store, "zed", "exquisite words", "tea")).pool_size == 10
    # No word in common, or no word at all: any texts, for the vectors to rank.
    assert (await by_preference(store, "u01", "nothing", "tea")).pool_size == 10
    assert (await by_preference(store, "u01", "!?", "tea")).pool_size == 10


async def test_another_encoder_is_an_error_that_names_both(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    other: HashedEncoder = topic_encoder("words-2", 16)
    with pytest.raises(EncoderMismatch) as caught:
        async with TextStore.open(str(tmp_path), style_encoder=STYLE, topic_encoder=other):
            pass
    message = str(caught.value)
    assert "'words-1' (32 dimensions)" in message
    assert "'words-2' (16 dimensions)" in message
    assert "ingest" in message


async def test_someone_elses_table_is_left_alone(tmp_path: Path) -> None:
    connection = await lancedb.connect_async(tmp_path)
    await connection.create_table("texts", [{"id": 1}])
    with pytest.raises(SchemaMismatch, match="expected schema version 1, found none"):
        async with opened(tmp_path):
            pass


async def test_an_encoder_that_lies_about_its_shape(tmp_path: Path) -> None:
    class Liar(HashedEncoder):
        def encode(self, texts):
            return super().encode(texts)[:, :-1]

    liar = Liar("liar", 8, str.split)
    async with TextStore.open(str(tmp_path), style_encoder=liar, topic_encoder=TOPIC) as store:
        with pytest.raises(EncoderMismatch, match=r"\(1, 8\), got \(1, 7\)"):
            await store.add([text("ann", "tea", "x")])


@pytest.mark.parametrize("cut", ["users", "topics"])
async def test_a_write_that_is_cut_off_is_mended(
    tmp_path: Path, cut: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
        whole = await store._snapshots.users("default"), await store._snapshots.topics("default")
        # As a kill between the commits would leave it.
        await store._tables._tables[cut].delete("namespace = 'default' AND shared > 1")
    with caplog.at_level(logging.WARNING, logger="patlm.stores"):
        async with opened(tmp_path) as store:
            users = await store._snapshots.users("default")
            topics = await store._snapshots.topics("default")
    assert "counting again" in caplog.text
    assert users.ids == whole[0].ids
    assert np.array_equal(users.style, whole[0].style)
    assert topics.ids == whole[1].ids
    assert np.array_equal(topics.sums, whole[1].sums)
    caplog.clear()
    async with opened(tmp_path):
        assert caplog.text == ""


async def test_a_fault_within_a_write_is_mended_by_the_next(
    store: TextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add(TEXTS[:3])
    with monkeypatch.context() as patched:

        async def fail(*_: object) -> None:
            raise OSError("disk full")

        patched.setattr(store._tally, "count_in", fail)
        with pytest.raises(OSError, match="disk full"):
            await store.add(TEXTS[3:])
    await store.add([text("gil", "tea", "Fresh tea.")])
    assert (await by_preference(store, "nobody", "tea", "tea")).pool_size == 5
    assert int((await store._snapshots.users("default")).shared.sum()) == 10


async def test_compaction_waits_for_its_threshold(store: TextStore) -> None:
    await store.add(TEXTS)
    below = await store.compact(threshold=1000)
    assert not below.compacted
    assert below.fragments_after == below.fragments_before
    for n in range(5):
        await store.add([text("ann", "tea", f"one more {n}")])
    done = await store.compact(threshold=1)
    assert done.compacted
    assert done.fragments_after < done.fragments_before
    assert json.loads(json.dumps(done.as_dict()))["compacted"] is True
    assert (await store.stats()).fragments == done.fragments_after


async def test_small_writes_do_not_pile_up(
    store: TextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patlm.stores.compaction.MANY", 20)
    for n in range(24):
        await store.add([text("ann", "tea", f"note {n}")])
    assert (await store.stats()).fragments < 30
    assert len((await store.history("default", "ann")).texts) == 24


async def test_stats_count_everything(store: TextStore) -> None:
    await store.add([*TEXTS, text("ann", "tea", "mine", shared=False)])
    stats = await store.stats()
    assert (stats.texts, stats.users, stats.topics, stats.shared) == (10, 5, 4, 9)
    assert stats.bytes > 0
    assert {"texts.user_id_idx", "texts.body_idx", "users.user_id_idx"} <= set(stats.indexes)
    assert (stats.style_encoder, stats.topic_encoder) == ("signs-1", "words-1")
    assert set(stats.as_dict()) >= set(
        "texts users topics namespaces shared fragments bytes indexes".split()
    )


def test_the_package_is_light_to_import() -> None:
    code = """
        import sys, patlm.stores
        patlm.stores.StoreError, patlm.stores.Text, patlm.stores.Receipt
        print([name for name in ("lancedb", "pyarrow", "torch", "numpy") if name in sys.modules])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
