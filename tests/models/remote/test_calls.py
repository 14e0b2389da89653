"""Calls of a remote model: loops and threads, options, adapters, log-probabilities, settings."""

import asyncio

import pytest
from blockbuster import blockbuster_ctx
from faulty_server import (
    LOGPROBS,
    TEXT,
    Behaviour,
    FaultyServer,
    answer_without_logprobs,
    by_ainvoke,
    by_astream,
    knows_only,
    refuses,
    streamed,
)
from patlm.graph import Personalizer
from patlm.models.errors import AdapterRefused, CallRefused
from patlm.models.remote.chat_model import RemoteChatModel
from raising import raises

pytestmark = pytest.mark.server


def test_one_model_serves_many_event_loops(model: RemoteChatModel, server: FaultyServer) -> None:
    # A shared HTTP client raises "Event loop is closed" in the second.
    assert [asyncio.run(by_ainvoke(model)) for _ in range(3)] == [TEXT] * 3
    assert len(server.asked) >= 3  # more where a busy machine made it try again


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
    with raises(CallRefused, "unknown_option", "frequency_penalty"):
        await model.ainvoke("Write", frequency_penalty=1)
    with raises(CallRefused, "invalid_option", "temperature"):
        model.invoke("Write", temperature=-1)
    assert server.asked == []


async def test_an_adapter_is_asked_for_as_a_model(
    model: RemoteChatModel, server: FaultyServer
) -> None:
    server.plan += [knows_only("style@3")] * 3
    answer = await model.ainvoke("Write", adapter="style@3")
    assert answer.response_metadata["adapter"] == "style@3"
    assert answer.response_metadata["model_name"] == "base"
    with raises(AdapterRefused, "adapter_missing", "style@9"):
        await model.ainvoke("Write", adapter="style@9")
    with raises(CallRefused, "server_refused", "`base`") as e:
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
    asked = {"adapter": "style@9", "adapter_fallback": True}
    server.plan.append(denial)
    whole = await model.ainvoke("Write", **asked)
    server.plan.append(denial)
    in_pieces = await streamed(model, **asked)
    for answer in (whole, in_pieces):
        assert answer.text == TEXT
        assert answer.response_metadata["adapter"] == "base"
    assert [body["model"] for body in server.asked] == ["style@9", "base"] * 2


async def test_a_fallback_hides_no_other_refusal(
    model: RemoteChatModel, server: FaultyServer
) -> None:
    server.plan.append(refuses(400, "prompt too long"))
    with raises(CallRefused, "server_refused", "prompt too long"):
        await model.ainvoke("Write", adapter="style@9", adapter_fallback=True)
    assert len(server.asked) == 1


async def test_log_probabilities_are_the_servers(model: RemoteChatModel) -> None:
    whole = await model.ainvoke("Write", capture=True)
    in_pieces = await streamed(model, capture=True)
    for answer in (whole, in_pieces):
        assert answer.response_metadata["logprobs"] == list(LOGPROBS)
        assert answer.response_metadata["finish_reason"] == "stop"
    assert whole.usage_metadata is not None and whole.usage_metadata["output_tokens"] == 3


async def test_log_probabilities_are_never_invented(
    model: RemoteChatModel, server: FaultyServer
) -> None:
    server.plan += [answer_without_logprobs] * 2
    whole = await model.ainvoke("Write", capture=True)
    in_pieces = await streamed(model, capture=True)
    unasked = await model.ainvoke("Write")
    for answer in (whole, in_pieces, unasked):
        assert "logprobs" not in answer.response_metadata
    assert [body.get("logprobs") for body in server.asked] == [True, True, None]


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
