"""A remote server that fails in every way that servers fail: a clear error, or a later answer."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from faulty_server import (
    REST_S,
    SILENCE_S,
    TEXT,
    Ask,
    Behaviour,
    FaultyServer,
    broken_json,
    by_ainvoke,
    by_astream,
    by_invoke,
    by_stream,
    cut_before_text,
    dry_up,
    end_too_early,
    half_a_stream,
    hang,
    no_choices,
    opened,
    refuses,
    reset,
    web_page,
)
from loop_parts import ROLES, parts_of, run
from patlm.graph.open import chat_role
from patlm.models.errors import CallRefused, GenerationFailed, ModelBusy, ModelClosed, RemoteFailed
from patlm.models.remote.chat_model import RemoteChatModel
from processes import HANG_SECONDS
from raising import raises

pytestmark = pytest.mark.server

WHOLE = [by_invoke, by_ainvoke]
STREAMED = [by_stream, by_astream]
every_way = pytest.mark.parametrize("ask", [*WHOLE, *STREAMED])


TRANSIENT = [
    hang,
    reset,
    cut_before_text,
    broken_json,
    no_choices,
    refuses(429, "too fast", retry_after="0.05"),
]


@every_way
@pytest.mark.parametrize("fault", TRANSIENT)
async def test_one_fault_is_made_good_by_a_second_attempt(
    ask: Ask, fault: Behaviour, server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan.append(fault)
    assert await ask(model) == TEXT
    assert len(server.asked) == 2


@pytest.mark.parametrize("ask", WHOLE)
@pytest.mark.parametrize("fault", [half_a_stream, end_too_early, dry_up])
async def test_half_of_a_whole_answer_is_asked_for_again(
    ask: Ask, fault: Behaviour, server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan.append(fault)
    assert await ask(model) == TEXT


@pytest.mark.parametrize(
    ("fault", "any_of"),
    [
        (hang, ["0.4 s"]),
        (reset, ["ConnectionResetError"]),
        (web_page, ["Please log in", "No generation chunks"]),  # as an answer, as a stream
        (refuses(500, "out of memory"), ["500 - out of memory"]),
    ],
)
@every_way
async def test_a_fault_that_stays_is_one_clear_error(
    ask: Ask, fault: Behaviour, any_of: list[str], server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan += [fault] * 3
    began = time.monotonic()
    with raises(RemoteFailed, "remote_failed", server.url) as raised:
        await ask(model)
    assert time.monotonic() - began < 3 * SILENCE_S + 10
    # On a busy machine an attempt may time out before the server has read it.
    assert len(server.asked) <= 3 and "in 3 attempts" in str(raised.value)
    assert any(name in str(raised.value) for name in any_of)
    assert await ask(model) == TEXT


@every_way
@pytest.mark.parametrize("status", [400, 404])
async def test_a_refusal_is_told_in_the_servers_words_and_never_repeated(
    ask: Ask, status: int, server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan.append(refuses(status, "I would rather not"))
    with raises(CallRefused, "server_refused", status, "I would rather not"):
        await ask(model)
    assert len(server.asked) == 1
    assert await ask(model) == TEXT


@pytest.mark.parametrize("ask", STREAMED)
@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (half_a_stream, "ConnectionResetError"),
        (end_too_early, "finish reason"),
        (dry_up, "0.4 s"),
    ],
)
async def test_a_stream_that_was_shown_in_part_is_not_begun_again(
    ask: Ask, fault: Behaviour, named: str, server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan.append(fault)
    with raises(GenerationFailed, "stream_broken", named) as e:
        await ask(model)
    assert e.type is GenerationFailed
    assert len(server.asked) == 1
    assert await ask(model) == TEXT


def in_seconds() -> str:
    return "0.5"


def as_a_date() -> str:
    # Whole seconds, cut: between 0 and 1 s from now.
    return format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)


@pytest.mark.parametrize(("header", "at_least"), [(in_seconds, 0.5), (as_a_date, 0.0)])
async def test_a_server_is_left_alone_as_long_as_it_asks(
    header: Callable[[], str], at_least: float, server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan.append(refuses(429, "too fast", retry_after=header()))
    began = time.monotonic()
    assert await by_ainvoke(model) == TEXT
    assert at_least <= time.monotonic() - began < 3


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_asks_for_too_much_time_is_not_waited_for(
    status: int, server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan.append(refuses(status, "come back", retry_after="120"))
    began = time.monotonic()
    error, code = {
        429: (ModelBusy, "model_busy"),
        503: (RemoteFailed, "remote_failed"),
    }[status]
    with raises(error, code, "come back", "120 s"):
        await model.ainvoke("Write")
    assert time.monotonic() - began < 1
    assert len(server.asked) == 1


class Clock:
    """The circuit's own clock, which tests turn on: on a busy machine a real rest is soon over."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_the_circuit_opens_and_closes_again(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("circuitbreaker.monotonic", clock)
    with opened(server.url, attempts=1, failures=2) as model:
        server.plan += [reset, refuses(500, "dying")]
        for _ in range(2):
            with pytest.raises(RemoteFailed):
                await model.ainvoke("Write")
        with raises(ModelBusy, "circuit_open", server.url, "1 s", "dying"):
            await model.ainvoke("Write")
        assert len(server.asked) == 2, "an open circuit lets nothing through"

        clock.now += REST_S
        server.plan.append(reset)  # the trial fails: open again, after one failure
        with pytest.raises(RemoteFailed):
            await model.ainvoke("Write")
        with pytest.raises(ModelBusy):
            await model.ainvoke("Write")

        clock.now += REST_S
        assert await by_ainvoke(model) == TEXT
        server.plan.append(reset)
        with pytest.raises(RemoteFailed):  # closed: one failure does not open it
            await model.ainvoke("Write")
        assert await by_ainvoke(model) == TEXT


async def test_a_hiccup_under_many_callers_opens_no_circuit(server: FaultyServer) -> None:
    callers = 12
    with opened(server.url, failures=2) as model:
        await model.ainvoke("Write")
        server.plan += [cut_before_text] * callers
        answers = await asyncio.gather(*[by_ainvoke(model) for _ in range(callers)])
    assert answers == [TEXT] * callers


@pytest.mark.parametrize("ask", [by_ainvoke, by_astream])
async def test_a_caller_that_goes_away_is_no_fault_of_the_server(
    ask: Ask, server: FaultyServer
) -> None:
    with opened(server.url, timeout_s=HANG_SECONDS, failures=1) as model:
        server.plan.append(hang)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ask(model)
        assert await ask(model) == TEXT


async def test_closing_ends_calls_under_way(server: FaultyServer) -> None:
    with opened(server.url, timeout_s=HANG_SECONDS) as model:
        server.plan += [hang, hang]
        calls = [asyncio.create_task(ask(model)) for ask in (by_ainvoke, by_stream)]
        while len(server.asked) < 2:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(model.close)
        for call in calls:
            with raises(ModelClosed, "model_closed"):
                await call
        with raises(ModelClosed, "model_closed"):
            await model.ainvoke("Write")


async def test_the_loop_gets_over_faults_of_its_server(
    model: RemoteChatModel, server: FaultyServer
) -> None:
    server.plan += [reset, refuses(429, "too fast", retry_after="0.05"), refuses(500, "oops")]
    role = chat_role(model)
    assert (role.takes_adapters, role.options) == (True, {"temperature": 0.0})
    parts = parts_of(model, chat=dict.fromkeys(ROLES, role))
    result = await run(parts, max_iterations=1)
    assert (result["text"], result["warnings"]) == (TEXT, [])
    assert len(server.asked) == 3 + 3
