"""style-retrieve: what it asks the store, how much it knows, how sure it is."""

import threading

import numpy as np
import pytest
from fakes import QuickEncoder, ScriptedChat, WhereEncoder
from loop_parts import LONG, GivenRetrieval, found, parts_of, turn_of
from patlm.models.encoders.style import StyleEncoder
from patlm.nodes.style_retrieve import cold_start, retrieve, style_confidence
from patlm.stores.search.threads import encode
from patlm.stores.types import History, Text
from store_fixtures import style_encoder

OWN = [Text("ana", "Lovely!! Slept like a log.", rating=5), Text("ana", "OK, I guess; cold.")]


def history_of(texts: int) -> History:
    none = np.zeros((0, 2), np.float32)
    own = tuple(Text("ana", f"text {n}") for n in range(texts))
    return History("default", "ana", own, none, none, {}, frozenset())


@pytest.mark.parametrize(
    ("texts", "level"), [(0, "zero"), (1, "few"), (3, "few"), (4, "known"), (90, "known")]
)
def test_cold_start_levels(texts: int, level: str) -> None:
    assert cold_start(texts) == level


@pytest.mark.parametrize(
    ("texts", "words", "cosine", "confidence"),
    [
        (1, "ignored", 0.8, 0.3858),  # sqrt(1 / 4.3) x .8
        (4, "ignored", 0.5, 0.3701),  # sqrt(4 / 7.3) x .5
        (0, "w " * 46, 0.8, 0.3858),  # as one text
        (0, "w " * 23, 1.0, 0.3627),  # as half a text: sqrt(.5 / 3.8)
        (4, "", -0.3, 0.0),
        (0, "", 0.8, 0.0),
    ],
)
def test_confidence_by_hand(texts: int, words: str, cosine: float, confidence: float) -> None:
    neighbours = found([Text("bo", "x"), Text("cy", "y")], cosine=cosine)
    assert style_confidence(history_of(texts), words, neighbours) == confidence


async def test_the_query_is_the_mean_of_the_own_texts(model: ScriptedChat) -> None:
    store = GivenRetrieval(own=OWN)
    turn = turn_of(parts_of(model, store), {**LONG, "topic_id": "sea"}, namespace="tenant", k=3)
    await retrieve(turn)
    assert store.asked_of("history") == [
        {"namespace": "tenant", "user_id": "ana", "topic_id": "sea"}
    ]
    (asked,) = store.asked_of("style")
    mean = style_encoder().encode([text.body for text in OWN]).mean(axis=0)
    assert np.allclose(asked["query"], mean / np.linalg.norm(mean), atol=1e-6)
    assert (asked["topic_id"], asked["k"]) == ("sea", 3)


async def test_without_history_the_requests_own_words_are_the_query(model: ScriptedChat) -> None:
    store = GivenRetrieval()
    await retrieve(turn_of(parts_of(model, store)))
    (asked,) = store.asked_of("style")
    assert np.allclose(asked["query"], style_encoder().encode([LONG["title"]])[0])


async def test_what_was_found_is_told(model: ScriptedChat) -> None:
    store = GivenRetrieval(own=OWN)
    update, entry = await retrieve(turn_of(parts_of(model, store)))
    assert [piece["user_id"] for piece in update["evidence"]["style"]] == ["bo", "cy"]
    assert [piece["reason"] for piece in update["evidence"]["style"]] == ["because 0", "because 1"]
    assert [piece["score"] for piece in update["evidence"]["style"]] == [1.0, 0.9]
    assert {piece["strategy"] for piece in update["evidence"]["style"]} == {"aligned"}
    assert update["cold_start"] == "few"
    assert update["confidence"] == {"style": pytest.approx((2 / 5.3) ** 0.5 * 0.8, abs=1e-4)}
    assert entry["evidence"] == update["evidence"]["style"]


@pytest.mark.parametrize(("task", "rating"), [("rating", 5.0), ("short", None)])
async def test_ratings_are_evidence_in_the_rating_task_only(
    model: ScriptedChat, task: str, rating: float | None
) -> None:
    store = GivenRetrieval(own=OWN, style=found([Text("bo", "x", rating=5)]))
    request = {"user_id": "ana", "task": task, "text": "We stayed."}
    update, _ = await retrieve(turn_of(parts_of(model, store), request))
    assert update["own"][0]["rating"] == rating
    assert update["evidence"]["style"][0]["rating"] == rating


async def test_from_the_second_iteration_on_nothing_is_searched(model: ScriptedChat) -> None:
    store = GivenRetrieval(own=OWN)
    before = {"evidence": {"style": [{"text_id": "1"}]}, "confidence": {"style": 0.3}}
    turn = turn_of(parts_of(model, store), iteration=2, state=before)
    update, entry = await retrieve(turn)
    assert (update, store.asked) == ({}, [])
    assert entry["evidence"] == [{"text_id": "1"}]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (LONG, ""),  # a title is no text that could be copied
        ({"user_id": "ana", "task": "short", "text": "We stayed."}, "We stayed."),
        ({"user_id": "ana", "task": "rating", "title": "Sea", "text": "We stayed."}, "We stayed."),
    ],
)
async def test_the_requests_own_text_is_handed_on(
    model: ScriptedChat, request_: dict[str, str], text: str
) -> None:
    store = GivenRetrieval()
    await retrieve(turn_of(parts_of(model, store), request_))
    assert [asked["text"] for asked in store.asked_of("style")] == [text]


async def test_only_what_is_quick_is_encoded_in_the_event_loop() -> None:
    quick, other = QuickEncoder(), WhereEncoder()
    for texts in (["ten", "letters"], ["ten", "letters", "!"]):
        await encode(quick, texts)
    await encode(other, ["x"])
    here = threading.get_ident()
    assert [thread == here for thread in quick.threads + other.threads] == [True, False, False]
    style = StyleEncoder.untrained([f"Some words {at}" for at in range(300)])
    assert style.is_quick(["t" * 100]), "a title at least"
    assert not style.is_quick(["t" * 1000])
