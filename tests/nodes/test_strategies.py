"""Strategies: the names, what each asks of a store, and those that borrow nothing."""

import math
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedChat
from loop_parts import GivenRetrieval, parts_of, run
from patlm.cli.main import app
from patlm.nodes.errors import RequestError
from patlm.nodes.strategies import STRATEGIES, Strategy
from patlm.stores import Found, History, Hit
from patlm.stores.search.request import SELECTIONS, SearchRequest
from patlm.stores.search.selection import match_length_and_rating
from raising import raises
from store_fixtures import style_encoder, text, topic_encoder
from typer.testing import CliRunner

OWN = (text("ann", "milk", "Cold milk!"), text("ann", "jam", "sweet red jam"))


def question(words: str = "jam jam") -> SearchRequest:
    bodies = [own.body for own in OWN]
    style, topic = style_encoder().encode(bodies), topic_encoder().encode(bodies)
    history = History("default", "ann", OWN, style, topic, {}, frozenset())
    return SearchRequest(history, topic_encoder().encode([words])[0], words, "tea", seed=7)


@pytest.mark.parametrize("side", ["style", "preference"])
async def test_each_name_asks_the_store_for_just_that(side: str) -> None:
    for name in SELECTIONS:
        store = GivenRetrieval()
        await STRATEGIES[name].sides[side](store, question())
        (asked,) = store.asked_of(side)
        assert (asked["selection"], asked["seed"]) == (name, 7)
        assert (asked["topic_id"], asked["k"]) == ("tea", 4)


async def test_own_history_borrows_nothing() -> None:
    store = GivenRetrieval()
    style = await STRATEGIES["own_history"].sides["style"](store, question())
    preference = await STRATEGIES["own_history"].sides["preference"](store, question())
    assert [hit.text for hit in style.hits] == list(OWN)
    assert [hit.text.topic_id for hit in preference.hits] == ["jam", "milk"]  # by relevance
    assert all(hit.reason.startswith("written by the user") for hit in style.hits)
    assert preference.hits[0].reason == "written by the user: topic cosine 0.58"  # 1 / sqrt(3)
    assert not store.asked


async def test_an_entry_is_all_there_is_to_a_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mine(_: Any, given: SearchRequest) -> Found:
        return Found(hits=(Hit(text("zoe", "x", "Mine."), 1.0, "because"),))

    monkeypatch.setitem(STRATEGIES, "mine", Strategy("mine", {"style": mine}))
    result = await run(parts_of(ScriptedChat()), max_iterations=1, strategies={"style": "mine"})
    (piece,) = result["evidence"]["style"]
    assert (piece["body"], piece["strategy"], piece["reason"]) == ("Mine.", "mine", "because")
    with raises(RequestError, "invalid_request") as raised:
        await run(parts_of(ScriptedChat()), strategies={"preference": "mine"})
    assert raised.value.field == "strategies"
    assert str(raised.value).count("mine") == 1, "it is not one of those to take"
    shown = CliRunner().invoke(app, ["retrieve", "--help"], env={"COLUMNS": "200"}).output
    assert "anti_aligned" in shown and "mine" in shown


def test_strategies_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/loop.md").read_text()
    assert all(f"| `{name}` |" in page for name in STRATEGIES)


def test_matching_takes_each_candidate_once_and_the_nearest_in_length_and_rating() -> None:
    def of(words: int, rating: float | None) -> Hit:
        return Hit(text("u", "t", "w " * words, rating=rating), 0.0, f"{words}/{rating}")

    candidates = [of(9, 1.0), of(10, 5.0), of(30, 5.0), of(11, 1.0)]
    wanted = [of(10, 1.0).text, of(10, 1.0).text, of(28, 1.0).text]
    # ln(11/10) = .095 and ln(12/11) = .087 beat another rating's .25; then the other of the two.
    assert math.log(12 / 11) < math.log(11 / 10) < 0.25
    taken = match_length_and_rating(wanted, candidates)
    assert [hit.reason for hit in taken] == ["11/1.0", "9/1.0", "30/5.0"]
    assert (
        len(match_length_and_rating(wanted, candidates[:1])) == 1
        and match_length_and_rating(wanted, []) == []
    )
