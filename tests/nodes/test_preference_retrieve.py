"""preference-retrieve: what it asks the store, and how sure it is."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from fakes import QuickEncoder, ScriptedChat, WhereEncoder
from loop_parts import LONG, GivenRetrieval, found, parts_of, turn_of
from patlm.models.encoders.remembered import RememberedEncoder
from patlm.nodes.check_stop import compared_vectors
from patlm.nodes.preference_retrieve import preference_confidence, retrieve
from patlm.stores.types import Text
from store_fixtures import topic_encoder


@pytest.mark.parametrize(
    ("pool", "known", "confidence"),
    [(4, True, 0.5), (12, True, 0.75), (4, False, 0.25), (0, True, 0.0), (0, False, 0.0)],
)
def test_confidence_by_hand(pool: int, known: bool, confidence: float) -> None:
    brought = found([Text("dee", "x")], pool_size=pool, topic_known=known)
    assert preference_confidence(brought) == confidence


async def test_the_query_is_the_requests_words(model: ScriptedChat) -> None:
    store = GivenRetrieval()
    request = {**LONG, "topic_id": "sea"}
    await retrieve(turn_of(parts_of(model, store), request, namespace="tenant", k=7))
    (asked,) = store.asked_of("preference")
    assert asked["words"] == LONG["title"]
    assert np.allclose(asked["query"], topic_encoder().encode([LONG["title"]])[0])
    assert (asked["topic_id"], asked["k"]) == ("sea", 7)
    assert asked["history"].namespace == "tenant"


async def test_the_draft_joins_the_query_from_the_second_iteration_on(model: ScriptedChat) -> None:
    parts, draft = parts_of(model, store := GivenRetrieval()), {"draft": "Waves all night."}
    await retrieve(turn_of(parts, iteration=1, state=draft))  # left by an earlier run of a thread
    await retrieve(turn_of(parts, iteration=2, state=draft))
    first, second = store.asked_of("preference")
    assert "Waves" not in first["words"]
    assert second["words"] == f"{LONG['title']}\nWaves all night."
    assert not np.allclose(first["query"], second["query"])


async def test_only_what_is_quick_is_encoded_in_the_event_loop(model: ScriptedChat) -> None:
    parts = replace(parts_of(model), topic_encoder=(encoder := QuickEncoder()))
    await retrieve(turn_of(parts, {**LONG, "title": "Sea"}))
    await retrieve(turn_of(parts))
    here = threading.get_ident()
    assert [thread == here for thread in encoder.threads] == [True, False]


async def test_check_stop_has_encoded_what_is_looked_for_next(model: ScriptedChat) -> None:
    encoder = WhereEncoder()
    parts = replace(parts_of(model), topic_encoder=RememberedEncoder(encoder, 8))
    state = {"draft": "Waves all night.", "summaries": {"style": "short", "preference": "calm"}}
    compared_vectors(turn_of(parts, state=state))
    encoded = len(encoder.threads)
    await retrieve(turn_of(parts, iteration=2, state=state))
    assert len(encoder.threads) == encoded == 4
    last = turn_of(parts, iteration=2, state={**state, "previous": state}, max_iterations=2)
    assert set(compared_vectors(last)) == {"Waves all night.", "short", "calm"}


async def test_what_was_found_is_told_for_this_side_alone(model: ScriptedChat) -> None:
    update, entry = await retrieve(turn_of(parts_of(model)))
    assert list(update["evidence"]) == list(update["confidence"]) == ["preference"]
    assert [piece["topic_id"] for piece in update["evidence"]["preference"]] == ["sea", "sea"]
    assert [piece["rating"] for piece in update["evidence"]["preference"]] == [None, None]
    assert update["confidence"]["preference"] == round(2 / 6, 4)
    assert entry["confidence"] == update["confidence"]["preference"]
