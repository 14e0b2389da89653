"""Strategies: the names, what each asks of a store, and those that borrow nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fakes import ScriptedChat
from loop_parts import GivenRetrieval, parts_of, run
from patlm.nodes.strategies import STRATEGIES, Question, oracle, with_oracle
from patlm.stores import Found, History, Hit
from patlm.stores.search.request import Choice, matched
from store_fixtures import style_encoder, text, topic_encoder

NAMES = ["aligned", "random", "anti_aligned", "same_topic", "random_topic", "own_history"]
OWN = (text("ann", "milk", "Cold milk!"), text("ann", "jam", "sweet red jam"))


def question(words: str = "jam jam") -> Question:
    bodies = [own.body for own in OWN]
    style, topic = style_encoder().encode(bodies), topic_encoder().encode(bodies)
    history = History("default", "ann", OWN, style, topic, {}, frozenset())
    return Question(history, topic_encoder().encode([words])[0], words, "tea", 4, seed=7)


@pytest.mark.parametrize("side", ["style", "preference"])
async def test_each_name_asks_the_store_for_just_that(side: str) -> None:
    assert list(STRATEGIES[side]) == NAMES
    for name in NAMES[:-1]:
        store = GivenRetrieval()
        await STRATEGIES[side][name](store, question())
        (asked,) = store.asked_of(side)
        assert asked["choice"] == Choice(name, 7)  # type: ignore[arg-type]
        assert (asked["topic_id"], asked["k"]) == ("tea", 4)


async def test_own_history_borrows_nothing() -> None:
    store = GivenRetrieval()
    style = await STRATEGIES["style"]["own_history"](store, question())
    preference = await STRATEGIES["preference"]["own_history"](store, question())
    assert [hit.text for hit in style.hits] == list(OWN)
    assert [hit.text.topic_id for hit in preference.hits] == ["jam", "milk"]  # by relevance
    assert all(hit.reason.startswith("written by the user") for hit in style.hits)
    assert preference.hits[0].reason == "written by the user: topic cosine 0.58"  # 1 / sqrt(3)
    assert not store.asked


async def test_own_texts_are_not_read_twice() -> None:
    store = GivenRetrieval()
    store.own = OWN
    parts = parts_of(ScriptedChat(), store)
    borrowed = await run(parts, max_iterations=1)
    alone = await run(parts, max_iterations=1, strategies={"style": "own_history"})
    assert len(borrowed["own"]) == 2 and alone["own"] == []
    assert [piece["body"] for piece in alone["evidence"]["style"]] == [own.body for own in OWN]
    assert {piece["strategy"] for piece in alone["evidence"]["style"]} == {"own_history"}
    assert {piece["strategy"] for piece in alone["evidence"]["preference"]} == {"aligned"}


async def test_the_oracle_asks_with_what_was_really_written() -> None:
    asked: list[Question] = []

    async def note(_: Any, given: Question) -> Found:
        asked.append(given)
        return Found()

    ask = oracle(note, style_encoder(), {"ann": "REALLY!!!"})
    await ask(GivenRetrieval(), question())
    assert asked[0].words == "REALLY!!!"
    assert np.array_equal(asked[0].query, style_encoder().encode(["REALLY!!!"])[0])
    stranger = oracle(note, style_encoder(), {})
    await stranger(GivenRetrieval(), question())
    assert asked[1].words == "jam jam"


async def test_the_oracle_is_chosen_by_name_and_side() -> None:
    encoders = {"style": style_encoder(), "preference": topic_encoder()}
    known = with_oracle(STRATEGIES, encoders, {"ana": "REALLY!!!"})
    assert {side: list(named) for side, named in known.items()} == {
        side: [*NAMES, "oracle"] for side in ("style", "preference")
    }
    parts = parts_of(ScriptedChat(), store := GivenRetrieval(), strategies=known)
    chosen = {"style": "oracle", "preference": "oracle"}
    result = await run(parts, max_iterations=1, strategies=chosen)
    for side, encoder in encoders.items():
        (asked,) = store.asked_of(side)
        assert np.array_equal(asked["query"], encoder.encode(["REALLY!!!"])[0])
        assert {piece["strategy"] for piece in result["evidence"][side]} == {"oracle"}


async def test_a_bench_brings_strategies_of_its_own() -> None:
    async def mine(_: Any, given: Question) -> Found:
        return Found(hits=(Hit(text("zoe", "x", "Mine."), 1.0, "because"),))

    mixed = {**STRATEGIES, "style": {**STRATEGIES["style"], "mine": mine}}
    parts = parts_of(ScriptedChat(), strategies=mixed)
    result = await run(parts, max_iterations=1, strategies={"style": "mine"})
    (piece,) = result["evidence"]["style"]
    assert (piece["body"], piece["strategy"], piece["reason"]) == ("Mine.", "mine", "because")


def test_matching_takes_each_candidate_once_and_the_nearest_in_length_and_rating() -> None:
    def of(words: int, rating: float | None) -> Hit:
        return Hit(text("u", "t", "w " * words, rating=rating), 0.0, f"{words}/{rating}")

    candidates = [of(9, 1.0), of(10, 5.0), of(30, 5.0), of(11, 1.0)]
    wanted = [of(10, 1.0).text, of(10, 1.0).text, of(28, 1.0).text]
    # ln(11/10) = .095 and ln(12/11) = .087 beat another rating's .25; then the other of the two.
    assert math.log(12 / 11) < math.log(11 / 10) < 0.25
    taken = matched(wanted, candidates)
    assert [hit.reason for hit in taken] == ["11/1.0", "9/1.0", "30/5.0"]
    assert len(matched(wanted, candidates[:1])) == 1 and matched(wanted, []) == []
