"""Looking back and searching on real LanceDB, from memory and from disk."""

from dataclasses import replace
from pathlib import Path

import pytest
from patlm.stores import InvalidQuery, StoreLimits, TextStore
from patlm.stores.search.request import TEXTS_FOR_HALF, SearchRequest, Weights
from raising import raises
from store_fixtures import (
    STYLE,
    TEXTS,
    TOPIC,
    by_preference,
    by_style,
    from_memory_and_disk,
    opened,
    text,
)

pytestmark = from_memory_and_disk


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
    sure = (2 / (2 + TEXTS_FOR_HALF)) ** 0.5
    assert cat.reason == f"writes alike: cosine {cat.score / sure:.2f} x {sure:.2f} for 2 texts"


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
    # Two texts of the same rank by words and by vector.
    await store.add(
        [
            text("ann", "milk", "milk", rating=5.0),
            text("foe", "milk", "Milk?", rating=1.0),
            text("friend", "milk", "Milk!", rating=5.0),
            text("foe", "tea", "no and so"),
            text("friend", "tea", "my oh my"),
        ]
    )
    weights = Weights(alignment=1.0)
    found = await by_preference(store, "ann", "quiet words", "tea", weights=weights)
    assert [hit.text.user_id for hit in found.hits] == ["friend", "foe"]
    assert [near.user_id for near in found.neighbours] == ["friend", "foe"]
    # Both share ann's one topic (cosine 1); ratings agree wholly and not at all.
    assert [near.score for near in found.neighbours] == pytest.approx([1.0, 0.5])
    assert [hit.score for hit in found.hits] == pytest.approx([1.5, 1.0])
    assert found.hits[0].reason.endswith(
        "aligned 1.00 (interests cosine 1.00, ratings agree 1.00 on 1 shared topic), x 1.50"
    )
    # As it is used, alignment is told but does not weigh: it was measured to bring nothing.
    found = await by_preference(store, "ann", "quiet words", "tea")
    assert [hit.score for hit in found.hits] == pytest.approx([1.0, 1.0])
    assert {near.score for near in found.neighbours} == {1.0, 0.5}
    assert all(hit.reason.endswith("shared topic), not weighed") for hit in found.hits)


async def test_one_text_of_each_author_comes_first(store: TextStore) -> None:
    await store.add(
        [text("bob", "tea", f"tea {words}") for words in ("tea tea", "so hot", "is calm")]
        + [text("cat", "tea", "something else"), text("cat", "tea", "milk, sir?")]
    )
    assert {h.text.user_id for h in (await by_preference(store, "x", "tea", "tea", 2)).hits} == {
        "bob",
        "cat",
    }
    found = await by_preference(store, "x", "tea", "tea", 4)
    assert sorted(hit.text.user_id for hit in found.hits) == ["bob", "bob", "cat", "cat"]


async def test_no_author_writes_more_than_their_share(store: TextStore) -> None:
    loud = ("tea tea", "hot tea, sir", "a calm tea", "tea and jam", "green tea", "no tea at all")
    await store.add([text("loud", "tea", words) for words in loud])
    found = await by_preference(store, "x", "tea", "tea", 6)
    assert [hit.text.user_id for hit in found.hits] == ["loud"]
    await store.add([text("ann", "tea", "pale and mild"), text("bob", "tea", "pale and mild!")])
    found = await by_preference(store, "x", "tea", "tea", 6)
    assert sorted(hit.text.user_id for hit in found.hits) == ["ann", "loud"]
    await store.add([text("cat", "tea", "dark, dense, sour"), text("dan", "tea", "just fine")])
    for least, most in ((1, 6 - 3), (2, 3), (3, 1), (4, 1)):
        found = await by_preference(store, "x", "tea", "tea", 6, min_authors=least)
        users = [hit.text.user_id for hit in found.hits]
        assert {"ann", "cat", "dan", "loud"} == set(users)
        assert users.count("loud") == most
    found = await by_preference(store, "x", "tea", "tea", 1)
    assert len(found.hits) == 1


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
                SearchRequest(stranger, query, "there here", topic_id=topic, k=50)
            )
            assert {hit.text.namespace for hit in found.hits} == {namespace}
            assert {hit.text.body.split()[0].rstrip(".") for hit in found.hits} <= {word, "Z"}
        found = await store.search_by_style(
            SearchRequest(stranger, STYLE.encode(["Here."])[0], topic_id=None, k=50)
        )
        assert {hit.text.namespace for hit in found.hits} == {namespace}
    stats = await store.stats()
    assert (stats.namespaces, stats.users, stats.topics, stats.texts) == (2, 5, 3, 8)


async def test_a_query_has_a_shape(store: TextStore) -> None:
    history = await store.history("default", "ann")
    with raises(InvalidQuery, "invalid_query", (24,), (32,)):
        await store.search_by_style(
            SearchRequest(history, TOPIC.encode(["x"])[0], topic_id=None, k=1)
        )
    with raises(InvalidQuery, "invalid_query", "k = 0"):
        await store.search_by_preference(
            SearchRequest(history, TOPIC.encode(["x"])[0], "x", topic_id=None, k=0)
        )


async def test_a_large_topic_is_ranked_by_its_best(tmp_path: Path, limits: StoreLimits) -> None:
    async with opened(tmp_path, replace(limits, exact_texts=5, picked_texts=10)) as store:
        await store.add([text(f"u{n:02}", "tea", f"plain words number {n}") for n in range(40)])
        await store.add([text("zed", "tea", "Exquisite oolong.", title="Best")])
        for user, words in (("u01", "exquisite"), ("zed", "exquisite words"), ("u01", "!?")):
            found = await by_preference(store, user, words, "tea")
            exact = await by_preference(store, user, words, "tea", exact=True)
            assert found == exact
            assert (found.pool_size, len(found.hits)) == (40, 4)
        found = await by_preference(store, "u01", "exquisite", "tea")
        assert found.hits[0].text.user_id == "zed"
    # A control draws among all of them.
    async with opened(tmp_path, replace(limits, exact_texts=5, picked_texts=1)) as store:
        control = await by_preference(store, "u01", "exquisite", "tea", selection="random", seed=1)
        assert (len(control.hits), control.pool_size) == (4, 40)


async def test_a_large_topic_takes_in_what_is_new_and_loses_who_is_forgotten(
    tmp_path: Path, limits: StoreLimits
) -> None:
    small = replace(limits, exact_texts=5)
    async with opened(tmp_path, small) as one, opened(tmp_path, small) as other:
        await one.add([text(f"u{n:02}", "tea", f"plain words number {n}") for n in range(40)])
        assert (await by_preference(other, "nobody", "oolong", "tea")).pool_size == 40
        await one.add([text("zed", "tea", "Exquisite oolong."), text("zed", "milk", "Milk.")])
        found = await by_preference(other, "nobody", "oolong", "tea")
        assert (found.hits[0].text.user_id, found.pool_size) == ("zed", 41)
        await one.forget("default", "zed")
        found = await by_preference(other, "nobody", "oolong", "tea", k=41)
        assert "zed" not in {hit.text.user_id for hit in found.hits}
        assert found.pool_size == len(found.hits) == 40
