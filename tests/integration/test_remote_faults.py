"""A remote server that fails in every way that servers fail: a clear error, or a later answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from blockbuster import blockbuster_ctx
from faulty_server import (
    LOGPROBS,
    PIECES,
    TEXT,
    Behaviour,
    FaultyServer,
    answer_without_logprobs,
    broken_json,
    cut_before_text,
    dry_up,
    end_too_early,
    faulty_server,
    half_a_stream,
    hang,
    knows_only,
    no_choices,
    refuses,
    reset,
    web_page,
)
from langchain_core.messages import AIMessage, AIMessageChunk
from loop_parts import ROLES, parts_of, run
from patlm.graph import Personalizer
from patlm.graph.opening import chat_role
from patlm.models.chat import open_chat_model
from patlm.models.errors import (
    AdapterRefused,
    CallRefused,
    GenerationFailed,
    ModelBusy,
    ModelClosed,
    RemoteFailed,
)
from patlm.models.remote_attempts import RemoteLimits
from patlm.models.remote_chat import RemoteChatModel

pytestmark = pytest.mark.server

SILENCE_S = 0.4
REST_S = 0.5

Ask = Callable[[RemoteChatModel], Awaitable[str]]


async def by_invoke(model: RemoteChatModel) -> str:
    return str((await asyncio.to_thread(model.invoke, "Write")).text)


async def by_ainvoke(model: RemoteChatModel) -> str:
    return str((await model.ainvoke("Write")).text)


async def by_stream(model: RemoteChatModel) -> str:
    return "".join(await asyncio.to_thread(lambda: [str(c.text) for c in model.stream("Write")]))


async def by_astream(model: RemoteChatModel) -> str:
    return "".join([str(chunk.text) async for chunk in model.astream("Write")])


WHOLE = [by_invoke, by_ainvoke]
STREAMED = [by_stream, by_astream]
every_way = pytest.mark.parametrize("ask", [*WHOLE, *STREAMED])


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with faulty_server() as server:
        yield server


@pytest.fixture
def model(server: FaultyServer) -> Iterator[RemoteChatModel]:
    """Three attempts a call; the circuit opens after five failures in a row."""
    with opened(server.url) as model:
        yield model


class opened:  # noqa: N801 - a context manager
    """A model of a server, with little patience unless told otherwise."""

    def __init__(self, url: str, **limits: float) -> None:
        quick = {"timeout_s": SILENCE_S, "wait_s": 0.01, "longest_wait_s": 1.0, "rest_s": REST_S}
        patience = RemoteLimits(**{**quick, **limits})  # type: ignore[arg-type]
        opened = open_chat_model("openai:base", base_url=url, limits=patience)
        assert isinstance(opened, RemoteChatModel)
        self.model = opened

    def __enter__(self) -> RemoteChatModel:
        return self.model

    def __exit__(self, *_: object) -> None:
        self.model.close()


TRANSIENT = [
    hang,
    reset,
    cut_before_text,
    web_page,
    broken_json,
    no_choices,
    refuses(500, "out of memory"),
    refuses(503, "starting"),
    refuses(429, "too fast", retry_after="0.05"),
    refuses(429, "too fast"),
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
    ("fault", "says"),
    [
        (hang, "silent for 0.4 s"),
        (reset, "ConnectionResetError"),
        (web_page, "Please log in|No generation chunks"),
        (refuses(500, "out of memory"), "500 - out of memory"),
    ],
)
@every_way
async def test_a_fault_that_stays_is_one_clear_error(
    ask: Ask, fault: Behaviour, says: str, server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan += [fault] * 3
    began = time.monotonic()
    message = f"base at {server.url} gave no answer in 3 attempts"
    with pytest.raises(RemoteFailed, match=message) as raised:
        await ask(model)
    assert time.monotonic() - began < 3 * SILENCE_S + 2
    assert len(server.asked) == 3
    raised.match(says)
    assert await ask(model) == TEXT


async def test_no_server_at_all_is_told_with_its_address(server: FaultyServer) -> None:
    with faulty_server() as gone:
        url = gone.url
    with opened(url) as model, pytest.raises(RemoteFailed, match=f"{url} .*ConnectionRefused"):
        await model.ainvoke("Write")


@every_way
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refusal_is_told_in_the_servers_words_and_never_repeated(
    ask: Ask, status: int, server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan.append(refuses(status, "I would rather not"))
    with pytest.raises(CallRefused, match=f"refused the call: .*{status} - I would rather not"):
        await ask(model)
    assert len(server.asked) == 1
    assert await ask(model) == TEXT


@pytest.mark.parametrize("ask", STREAMED)
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (half_a_stream, "ConnectionResetError"),
        (end_too_early, "without a finish reason"),
        (dry_up, "silent for 0.4 s"),
    ],
)
async def test_a_stream_that_was_shown_in_part_is_not_begun_again(
    ask: Ask, fault: Behaviour, says: str, server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan.append(fault)
    with pytest.raises(GenerationFailed, match=f"broke its answer off after 1 pieces.*{says}") as e:
        await ask(model)
    assert e.type is GenerationFailed
    assert len(server.asked) == 1
    assert await ask(model) == TEXT


async def test_the_pieces_of_a_broken_stream_have_been_shown(
    server: FaultyServer, model: RemoteChatModel
) -> None:
    server.plan.append(half_a_stream)
    shown = []
    with pytest.raises(GenerationFailed):
        async for chunk in model.astream("Write"):
            shown.append(chunk.text)
    assert shown == [PIECES[0]]


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
    with pytest.raises((ModelBusy, RemoteFailed), match="come back.*ask again after 120 s"):
        await model.ainvoke("Write")
    assert time.monotonic() - began < 1
    assert len(server.asked) == 1


async def test_a_busy_server_is_busy_and_not_broken(server: FaultyServer) -> None:
    with opened(server.url, failures=2) as model:
        server.plan += [refuses(429, "too fast", retry_after="0")] * 6
        for _ in range(2):
            with pytest.raises(ModelBusy, match="has too much to do.*too fast"):
                await model.ainvoke("Write")
        assert await by_ainvoke(model) == TEXT


async def test_the_circuit_opens_and_closes_again(server: FaultyServer) -> None:
    with opened(server.url, attempts=1, failures=2) as model:
        server.plan += [reset, refuses(500, "dying")]
        for _ in range(2):
            with pytest.raises(RemoteFailed):
                await model.ainvoke("Write")
        began = time.monotonic()
        with pytest.raises(ModelBusy, match=f"{server.url} is left alone for 1 s more.*dying"):
            await model.ainvoke("Write")
        assert time.monotonic() - began < SILENCE_S / 2
        assert len(server.asked) == 2, "an open circuit lets nothing through"

        await asyncio.sleep(REST_S)
        server.plan.append(reset)  # the trial fails: open again, after one failure
        with pytest.raises(RemoteFailed):
            await model.ainvoke("Write")
        with pytest.raises(ModelBusy):
            await model.ainvoke("Write")

        await asyncio.sleep(REST_S)
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
    with opened(server.url, timeout_s=30, failures=1) as model:
        server.plan.append(hang)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ask(model)
        assert await ask(model) == TEXT


async def test_closing_ends_calls_under_way(server: FaultyServer) -> None:
    with opened(server.url, timeout_s=30) as model:
        server.plan += [hang, hang]
        calls = [asyncio.create_task(ask(model)) for ask in (by_ainvoke, by_stream)]
        while len(server.asked) < 2:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(model.close)
        for call in calls:
            with pytest.raises(ModelClosed, match="before this call was answered"):
                await call
        with pytest.raises(ModelClosed, match="open it again"):
            await model.ainvoke("Write")


def test_one_model_serves_many_event_loops(model: RemoteChatModel, server: FaultyServer) -> None:
    # A shared HTTP client raises "Event loop is closed" in the second.
    assert [asyncio.run(by_ainvoke(model)) for _ in range(3)] == [TEXT] * 3
    assert len(server.asked) == 3


async def test_nothing_blocks_the_callers_event_loop(model: RemoteChatModel) -> None:
    with blockbuster_ctx():  # what `langgraph dev` watches with
        assert str((await model.ainvoke("Write")).text) == TEXT
        assert await by_astream(model) == TEXT


async def test_options_reach_the_server_in_its_own_words(
    model: RemoteChatModel, server: FaultyServer
) -> None:
    bound = model.bind(temperature=0.0, no_repeat_ngram_size=4, seed=7)
    await bound.ainvoke("Write", max_tokens=5, stop=["x"], top_p=0.5)
    await model.ainvoke("Write")
    first, second = server.asked
    for body in (first, second):
        del body["messages"], body["stream"]
    assert first == {
        "model": "base",
        "temperature": 0.0,
        "seed": 7,
        "max_completion_tokens": 5,
        "stop": ["x"],
        "top_p": 0.5,
    }
    assert second == {"model": "base"}, "what a call leaves out is the server's to choose"


async def test_an_unknown_option_is_refused_before_anything_is_sent(
    model: RemoteChatModel, server: FaultyServer
) -> None:
    with pytest.raises(CallRefused, match="no option frequency_penalty"):
        await model.ainvoke("Write", frequency_penalty=1)
    with pytest.raises(CallRefused, match="temperature must be 0 or more"):
        model.invoke("Write", temperature=-1)
    assert server.asked == []


async def test_an_adapter_is_asked_for_as_a_model(
    model: RemoteChatModel, server: FaultyServer
) -> None:
    server.plan += [knows_only("style@3")] * 3
    answer = await model.ainvoke("Write", adapter="style@3")
    assert answer.response_metadata["adapter"] == "style@3"
    assert answer.response_metadata["model_name"] == "base"
    with pytest.raises(AdapterRefused, match="no adapter style@9.*`style@9` does not exist"):
        await model.ainvoke("Write", adapter="style@9")
    with pytest.raises(CallRefused, match="`base` does not exist") as e:
        await model.ainvoke("Write")
    assert e.type is CallRefused


@pytest.mark.parametrize(
    "denial",
    [
        knows_only("base"),
        # How transformers' own server says it.
        refuses(400, "Server is pinned to 'base'; requested 'style@9'."),
    ],
)
async def test_the_base_model_answers_for_a_missing_adapter_where_that_is_allowed(
    denial: Behaviour, model: RemoteChatModel, server: FaultyServer
) -> None:
    for stream in (False, True):
        server.plan.append(denial)
        asked = {"adapter": "style@9", "adapter_fallback": True}
        answer: AIMessage | AIMessageChunk
        if stream:
            answer = sum_of([chunk async for chunk in model.astream("Write", **asked)])
        else:
            answer = await model.ainvoke("Write", **asked)
        assert answer.text == TEXT
        assert answer.response_metadata["adapter"] == "base"
    assert [body["model"] for body in server.asked] == ["style@9", "base"] * 2


async def test_a_fault_of_the_base_model_is_not_taken_for_the_missing_adapter(
    model: RemoteChatModel, server: FaultyServer
) -> None:
    server.plan += [knows_only("base"), reset]
    assert (await model.ainvoke("Write", adapter="a@1", adapter_fallback=True)).text == TEXT
    assert [body["model"] for body in server.asked] == ["a@1", "base", "base"]


async def test_a_fallback_hides_no_other_refusal(
    model: RemoteChatModel, server: FaultyServer
) -> None:
    server.plan.append(refuses(400, "prompt too long"))
    with pytest.raises(CallRefused, match="prompt too long"):
        await model.ainvoke("Write", adapter="style@9", adapter_fallback=True)
    assert len(server.asked) == 1


async def test_log_probabilities_are_the_servers(model: RemoteChatModel) -> None:
    whole = await model.ainvoke("Write", capture=True)
    streamed = sum_of([chunk async for chunk in model.astream("Write", capture=True)])
    for answer in (whole, streamed):
        assert answer.response_metadata["logprobs"] == list(LOGPROBS)
        assert answer.response_metadata["finish_reason"] == "stop"
    assert whole.usage_metadata is not None and whole.usage_metadata["output_tokens"] == 3


async def test_log_probabilities_are_never_invented(
    model: RemoteChatModel, server: FaultyServer
) -> None:
    server.plan += [answer_without_logprobs] * 2
    whole = await model.ainvoke("Write", capture=True)
    streamed = sum_of([chunk async for chunk in model.astream("Write", capture=True)])
    unasked = await model.ainvoke("Write")
    for answer in (whole, streamed, unasked):
        assert "logprobs" not in answer.response_metadata
    assert [body.get("logprobs") for body in server.asked] == [True, True, None]


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


@pytest.mark.bundled
async def test_settings_lead_an_app_to_its_server(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATLM_MODEL", "openai:base")
    monkeypatch.setenv("PATLM_BASE_URL", server.url)
    async with Personalizer() as personalizer:
        result = await personalizer.awrite(
            "secondhand-sue",
            title="A blanket",
            max_iterations=1,
            adapters={"style": "style@3", "integrate": "integrate@1"},
        )
    assert result.text == TEXT
    assert set(result.models.values()) == {"base"}
    asked = sorted(body["model"] for body in server.asked)
    assert asked == ["base", "integrate@1", "style@3"]
    assert result.adapters == {"style": "style@3", "preference": "base", "integrate": "integrate@1"}


def sum_of(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    first, *rest = chunks
    return first + rest
