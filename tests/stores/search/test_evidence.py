"""What is taken as evidence, on real LanceDB: no near-copies, not one thing four times, and style
scores that neither length nor a single lucky text decides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from patlm.stores import Found, Text, TextStore
from patlm.stores.search.length_bias import cut, measure_length_axis
from patlm.stores.search.request import SELECTIONS, SearchRequest, Selection, Weights
from store_fixtures import STYLE, TOPIC, from_memory_and_disk, text

ASKED = (
    "This kettle boils a full litre in two minutes, and the handle stays cool while the lid is "
    "tight enough to pour with one hand."
)
COPIES = [ASKED.lower(), f"I agree: {ASKED} Mine whistles, too.", " ".join(ASKED.split()[:18])]


async def both(
    store: TextStore, user: str, words: str, topic: str, k: int, **more: object
) -> tuple[Found, Found]:
    history = await store.history("default", user, topic_id=topic)
    style, about = STYLE.encode([words])[0], TOPIC.encode([words])[0]
    request = SearchRequest(history, style, words, topic, k, **more)  # type: ignore[arg-type]
    return (
        await store.search_by_style(request),
        await store.search_by_preference(replace(request, query=about)),
    )


def bodies(found: Found) -> set[str]:
    return {hit.text.body for hit in found.hits}


@from_memory_and_disk
@pytest.mark.parametrize("selection", SELECTIONS)
async def test_the_requests_own_text_never_comes_back(
    store: TextStore, selection: Selection
) -> None:
    thieves = [
        text(f"thief{n}", topic, body)
        for n, body in enumerate(COPIES)
        for topic in ("kettle", "pot")
    ]
    honest = [
        text(f"user{n}", topic, f"Number {n} of the {topic}s is fine{'!' * n}")
        for n in range(6)
        for topic in ("kettle", "pot")
    ]
    await store.add([*thieves, *honest])
    for found in await both(store, "ann", ASKED, "kettle", 20, selection=selection, text=ASKED):
        assert found.hits and not bodies(found) & set(COPIES)
        assert all(hit.text.user_id.startswith("user") for hit in found.hits)
    # With the words alone, as when they are a draft, they may.
    seen = await both(store, "ann", ASKED, "kettle", 20, selection=selection)
    assert all(bodies(found) & set(COPIES) for found in seen)


@from_memory_and_disk
@pytest.mark.parametrize("selection", SELECTIONS)
async def test_near_copies_are_evidence_once(store: TextStore, selection: Selection) -> None:
    crowd = [
        text(f"user{n}", topic, body)
        for n, body in enumerate([*COPIES, "Plain.", "Fine, and cheap!", "plain."])
        for topic in ("kettle", "pot")
    ]
    await store.add(crowd)
    for found in await both(store, "ann", "kettle", "kettle", 20, selection=selection):
        taken = [hit.text.body for hit in found.hits]
        assert sum(body in COPIES for body in taken) == 1
        assert sum(body.lower() == "plain." for body in taken) == 1
        assert "Fine, and cheap!" in taken


async def test_pieces_that_say_one_thing_make_room(store: TextStore) -> None:
    with_milk = ("and milk", "or milk, sir", "with milk", "in his milk", "my milk so")
    alike = [text(f"a{n}", "tea", f"warm calm tea {milk}") for n, milk in enumerate(with_milk)]
    other = text("b", "tea", "warm tea in cracked cups")
    await store.add([*alike, other, *(text(f"c{n}", "tea", f"no {n}") for n in range(12))])
    query, history = TOPIC.encode(["warm calm tea"])[0], await store.history("default", "ann")

    async def taken(diversity: float) -> list[str]:
        found = await store.search_by_preference(
            SearchRequest(
                history,
                query,
                "warm calm tea",
                topic_id="tea",
                k=3,
                weights=Weights(diversity=diversity),
            )
        )
        scores = [hit.score for hit in found.hits]
        assert scores == sorted(scores, reverse=True)
        return [hit.text.user_id for hit in found.hits]

    assert "b" not in await taken(0.0)
    assert "b" in await taken(1.0)


async def test_of_two_at_one_cosine_the_one_with_more_texts_is_nearer(store: TextStore) -> None:
    signs, words = "So; it is: well - fine.", ("good", "nice", "cool", "calm", "warm")
    others = "My; oh my: here - "
    often = [text("often", f"t{n}", f"{others}{word}.") for n, word in enumerate(words)]
    await store.add([text("once", "tea", f"{others}fine."), *often])
    found, _ = await both(store, "ann", signs, "rum", 2)
    assert [hit.text.user_id for hit in found.hits] == ["often", "once"]
    assert found.hits[0].score > 1.2 * found.hits[1].score
    found, _ = await both(store, "ann", signs, "rum", 2, weights=Weights(shrinkage=0.0))
    assert found.hits[0].score == pytest.approx(found.hits[1].score)


class LoudAndLong:
    """Hears how loud a text is, and, louder still, how long."""

    version, dimension = "loud-and-long", 3

    def encode(self, texts: list[str]) -> np.ndarray:
        rows = [[body.count("!") - 0.5, 4 * np.log(len(body.split()) + 1) - 8, 1] for body in texts]
        found = np.array(rows, np.float32).reshape(-1, 3)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_the_length_axis_is_the_direction_in_which_cut_texts_move() -> None:
    axis = measure_length_axis(LoudAndLong())
    assert np.linalg.norm(axis) == pytest.approx(1, abs=1e-5) and axis[1] > 0.8
    assert cut("One. Two! Three? Four... Five") == [
        "One.",
        "One. Two!",
        "One. Two! Three? Four...",
        "One. Two! Three? Four... Five",
    ]
    assert cut("No end") == ["No end"]


async def test_length_does_not_pass_for_style(tmp_path: Path) -> None:
    loud_long, quiet_short = "word! " * 60, "word word"
    texts = [Text("loud", loud_long, "tea"), Text("quiet", quiet_short, "tea")]
    opened = TextStore.open(str(tmp_path), style_encoder=LoudAndLong(), topic_encoder=TOPIC)
    async with opened as store:
        await store.add(texts)
        history = await store.history("default", "ann")
        (query,) = LoudAndLong().encode(["yes! yes!"])  # loud and short

        async def nearest(length: float) -> str:
            weights = Weights(length=length)
            found = await store.search_by_style(
                SearchRequest(history, query, topic_id=None, k=1, weights=weights)
            )
            return found.hits[0].text.user_id

        assert (await nearest(0.0), await nearest(1.0)) == ("quiet", "loud")
