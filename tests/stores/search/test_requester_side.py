"""A target leaks neither as text nor through a vector: what its author is shown stays the same,
bit for bit, whatever the target says."""

import json
import os
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from patlm.graph.graph_artefact import GraphWeights
from patlm.stores import Found, StoreLimits, Text, TextStore
from patlm.stores.search.request import SearchRequest
from patlm.stores.search.words import bare
from patlm.stores.texts.topics import GraphForm
from store_fixtures import from_memory_and_disk, style_encoder, text, topic_encoder

STYLE, TOPIC = style_encoder(dimension=32), topic_encoder(dimension=64)


def opened(path: Path, limits: StoreLimits) -> AbstractAsyncContextManager[TextStore]:
    return TextStore.open(str(path), style_encoder=STYLE, topic_encoder=TOPIC, limits=limits)


@pytest.fixture(params=["two_hop", "trained"])
def forms(request: pytest.FixtureRequest) -> dict[str, GraphForm]:
    """How users' embeddings are made: without weights, and with some."""
    if request.param == "two_hop":
        return {}
    random = np.random.default_rng(0)
    down, up = (random.normal(size=shape).astype(np.float32) for shape in ((4, 64), (64, 4)))
    return {"default": GraphWeights(down, up)}


async def answers(
    path: Path,
    texts: list[Text],
    requests: list[Text],
    forms: dict[str, GraphForm] | None = None,
    limits: StoreLimits = StoreLimits(),
) -> list[tuple[Found, ...]]:
    """Return what each request's author is shown, in a store that is made anew."""
    async with opened(path, limits) as store:
        store.use_graph(forms or {})
        await store.add(texts)
        return [await answer(store, request) for request in requests]


async def answer(store: TextStore, request: Text) -> tuple[Found, ...]:
    # The request's own words are fixed here: only what is in the store may differ.
    words = "good and soft but a bit small for the price"
    query = TOPIC.encode([words])[0]
    found = []
    for topic in (request.topic_id, None, "never seen"):
        history = await store.history(request.namespace, request.user_id, topic_id=topic)
        style = history.style.mean(axis=0) if len(history.texts) else STYLE.encode([words])[0]
        found.append(
            await store.search_by_style(SearchRequest(history, style, topic_id=topic, k=6))
        )
        found.append(
            await store.search_by_preference(
                SearchRequest(history, query, words, topic_id=topic, k=6)
            )
        )
    assert request.user_id not in {hit.text.user_id for one in found for hit in one.hits}
    return tuple(found)


def changed(target: Text) -> Text:
    return replace(
        target,
        title="WHOLLY OTHER",
        body="Unheard of! good soft small price price price " + target.body[::-1],
        rating=1.0 if (target.rating or 1.0) > 2 else 5.0,
    )


def random_texts(seed: int) -> list[Text]:
    rng = np.random.default_rng(seed)
    words = "good bad soft hard small large price tea milk jam bread warm cold red a the".split()
    texts = []
    for user in range(40):
        for n in range(int(rng.integers(1, 5))):
            texts.append(
                text(
                    f"u{user:02}",
                    f"t{rng.integers(8)}",
                    " ".join(rng.choice(words, int(rng.integers(3, 30)))),
                    title=" ".join(rng.choice(words, 2)),
                    rating=float(rng.integers(1, 6)),
                    position=len(texts),
                    target=n == 0,
                )
            )
    return texts


@from_memory_and_disk
@pytest.mark.parametrize("seed", [0])
async def test_a_target_does_not_show(
    tmp_path: Path, seed: int, forms: dict[str, GraphForm], limits: StoreLimits
) -> None:
    texts = random_texts(seed)
    requests = [text for text in texts if text.target][::20]
    before = await answers(tmp_path / "before", texts, requests, forms, limits)
    for number, request in enumerate(requests):
        other = [changed(text) if text is request else text for text in texts]
        after = await answers(tmp_path / f"after{number}", other, [request], forms, limits)
        assert after[0] == before[number]
        assert any(found.hits for found in after[0])
    if forms:  # and the weights do weigh in
        assert before != await answers(tmp_path / "two-hop", texts, requests, limits=limits)


async def test_a_target_does_show_to_others(tmp_path: Path) -> None:
    """The same comparison differs for another requester: it can fail."""
    texts = random_texts(0)
    target = next(text for text in texts if text.target)
    others = [t for t in texts if t.user_id != target.user_id and t.target]
    other = [changed(text) if text is target else text for text in texts]
    before = await answers(tmp_path / "before", texts, others)
    assert await answers(tmp_path / "after", other, others) != before


@from_memory_and_disk
async def test_a_copy_of_the_target_is_no_evidence_for_its_author(
    tmp_path: Path, limits: StoreLimits
) -> None:
    texts = [
        text("ann", "tea", "Lovely tea, would buy again.", target=True),
        text("bob", "tea", "  lovely TEA, would buy\nagain."),
        text("bob", "milk", "Lovely tea, would buy again."),
        text("cat", "tea", "Never again."),
        text("cat", "jam", "Never, ever again."),
    ]
    async with opened(tmp_path, limits) as store:
        await store.add(texts)
        for user, seen in (("ann", {"cat"}), ("dan", {"bob", "cat"})):
            history = await store.history("default", user)
            found = await store.search_by_preference(
                SearchRequest(
                    history, TOPIC.encode(["lovely tea"])[0], "lovely tea", topic_id="tea", k=9
                )
            )
            # Copies of each other are evidence once: of ann's and bob's, one.
            taken = [hit.text.user_id.replace("ann", "bob") for hit in found.hits]
            assert sorted(taken) == sorted(seen)
            found = await store.search_by_style(
                SearchRequest(history, STYLE.encode(["Lovely tea, would"])[0], topic_id="tea", k=9)
            )
            assert {hit.text.user_id for hit in found.hits} == seen


def gap_texts() -> list[Text]:
    folder = os.environ.get("PATLM_DATA")
    if not folder:
        pytest.skip("PATLM_DATA is not set: it names the folder with the real data sets")
    users = json.loads((Path(folder) / "pgraphrag" / "gap_dev.json").read_text("utf-8"))
    return [
        text(
            str(user["id"]),
            str(entry["pid"]),
            entry["text"] or "",
            title=entry["title"] or "",
            rating=float(entry["rating"]),
            target=number == 0,
        )
        for user in users
        for number, entry in enumerate(user["profile"])
    ]


@pytest.mark.slow
async def test_a_target_does_not_show_on_real_texts(tmp_path: Path) -> None:
    texts = [replace(text, position=place) for place, text in enumerate(gap_texts())]
    bodies = [bare(text.body) for text in texts]
    histories = {text.user_id for text in texts if not text.target}
    # Not those whose target somebody else wrote too: changed, it no longer hides that text.
    alone = [t for t in texts if t.target and bodies.count(bare(t.body)) == 1]
    requests = [t for t in alone if t.user_id in histories][:1]
    requests += [t for t in alone if t.user_id not in histories][:1]
    before = await answers(tmp_path / "before", texts, requests)
    assert all(found.hits for answer in before for found in answer)
    for number, request in enumerate(requests):
        other = [changed(text) if text is request else text for text in texts]
        after = await answers(tmp_path / f"after{number}", other, [request])
        assert after[0] == before[number]
