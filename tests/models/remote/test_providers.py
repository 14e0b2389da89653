"""Every provider's shapes of answers and refusals, over HTTP, by the provider's own client."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from loop_parts import ROLES, parts_of, run, turn_of
from patlm.graph.open import REASONING_ROOM, chat_role
from patlm.models.errors import CallRefused
from patlm.models.open import open_chat_model
from patlm.models.remote.chat_model import RemoteChatModel
from patlm.models.remote.retries import RemoteLimits
from patlm.nodes.errors import EmptyAnswerError, ModelCallError
from patlm.nodes.model_call import Wanted, call_model
from patlm.nodes.prompts.build import Prompt
from provider_servers import (
    ANSWER_TOKENS,
    DEFAULT_NUM_CTX,
    PROMPT_TOKENS,
    Handle,
    ProviderServer,
    Refused,
    Said,
    anthropic,
    google_genai,
    mistralai,
    old_openai,
    ollama,
    openai,
    provider_server,
)
from raising import raises

pytestmark = pytest.mark.server

PROMPT = Prompt("You write reviews.", "Write about a lamp.")
FINE = "A fine view."
WHOLE = Wanted("sentence")


@dataclass(frozen=True)
class Provider:
    """A provider, its server, and where an answer's limit stands in a request."""

    name: str
    handle: Handle
    path: str
    limit: tuple[str, ...]


OPENAI = Provider("openai:base", openai, "/v1", ("max_completion_tokens",))
OLD = Provider("openai:base", old_openai, "/v1", ("max_tokens",))
ANTHROPIC = Provider("anthropic:claude-base", anthropic, "", ("max_tokens",))
OLLAMA = Provider("ollama:base", ollama, "", ("options", "num_predict"))
MISTRAL = Provider("mistralai:base", mistralai, "/v1", ("max_tokens",))
GOOGLE = Provider("google_genai:base", google_genai, "", ("generationConfig", "maxOutputTokens"))

ALL = [OPENAI, ANTHROPIC, OLLAMA, MISTRAL, GOOGLE]
every_provider = pytest.mark.parametrize("provider", ALL, ids=lambda each: each.name)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC", "MISTRAL", "GOOGLE"):
        monkeypatch.setenv(f"{name}_API_KEY", "a-key")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def opened(provider: Provider, url: str, name: str | None = None) -> Iterator[RemoteChatModel]:
    if provider is GOOGLE:  # its client is no part of patlm[remote]
        pytest.importorskip("langchain_google_genai")
    limits = RemoteLimits(timeout_s=5, wait_s=0.01, rest_s=0.1)
    model = open_chat_model(name or provider.name, base_url=url, limits=limits)
    assert isinstance(model, RemoteChatModel)
    try:
        yield model
    finally:
        model.close()


@contextmanager
def serving(
    provider: Provider, *plan: Said | Refused, name: str | None = None, window: int | None = None
) -> Iterator[tuple[RemoteChatModel, ProviderServer]]:
    with provider_server(provider.handle, *plan) as server:
        server.window = window
        with opened(provider, server.url + provider.path, name) as model:
            yield model, server


def limits_of(provider: Provider, server: ProviderServer) -> list[int]:
    """Return the limits of tokens that a server was sent."""
    found: list[Any] = list(server.bodies)
    for name in provider.limit:
        found = [body[name] for body in found]
    return found


async def asked(model: RemoteChatModel, **options: Any) -> tuple[str, dict[str, Any], list[str]]:
    """Ask as a node of the loop does."""
    warnings: list[str] = []
    parts = parts_of(model, chat=dict.fromkeys(ROLES, chat_role(model)))
    text, call = await call_model(
        turn_of(parts), "integrate", PROMPT, max_tokens=12, warnings=warnings, **options
    )
    return text, call, warnings


async def streamed(model: RemoteChatModel, **options: Any) -> tuple[str, int]:
    chunks = [str(chunk.text) async for chunk in model.astream(PROMPT.messages, **options)]
    return "".join(chunks), len([chunk for chunk in chunks if chunk])


# Answers


@every_provider
async def test_an_answer(provider: Provider) -> None:
    with serving(provider, Said()) as (model, server):
        text, call, warnings = await asked(model)
        assert (text, call["finish_reason"], warnings) == (FINE, "stop", [])
        assert (call["tokens_in"], call["tokens_out"]) == (7, 3)
        assert await streamed(model, max_tokens=12) == (FINE, pytest.approx(4, abs=3))
        assert limits_of(provider, server) == [12, 12]


@every_provider
async def test_reasoning_in_the_providers_own_place(provider: Provider) -> None:
    with serving(provider, Said(thinking="SECRET")) as (model, _):
        text, call, _ = await asked(model)
        assert text == FINE and "SECRET" not in str(call)
        assert (await streamed(model, max_tokens=12))[0] == FINE


TAGGED = [
    f"<think>SECRET</think>\n\n{FINE}",
    f"<think>\n</think>\n\n{FINE}",
    f"[THINK]SECRET[/THINK]{FINE}",
]


@every_provider
@pytest.mark.parametrize("answer", TAGGED)
async def test_reasoning_between_tags(provider: Provider, answer: str) -> None:
    with serving(provider, Said(answer)) as (model, _):
        text, call, _ = await asked(model)
        assert text == call["text"] == FINE
        assert (await streamed(model, max_tokens=12))[0] == FINE


@every_provider
async def test_reasoning_whose_opening_tag_is_in_the_template(provider: Provider) -> None:
    unmarked = Said(f"SECRET</think>\n\n{FINE}")
    with serving(provider, unmarked) as (model, server):
        assert (await asked(model))[0] == FINE
        assert (await streamed(model, max_tokens=12))[0] == FINE
        server.plan.clear()  # from then on: a whole answer without reasoning, streamed too
        assert (await streamed(model, max_tokens=12))[0] == FINE
        server.plan += [unmarked, Said("SECRET, and no end", finish="length")]
        assert (await asked(model))[0] == FINE
        with pytest.raises(EmptyAnswerError):
            await asked(model)


async def test_a_reasoning_models_first_stream_is_held_until_it_is_known() -> None:
    unmarked = Said(f"SECRET</think>{FINE}")
    with serving(OPENAI, unmarked, name="openai:deepseek-r1") as (model, _):
        assert await streamed(model, max_tokens=12) == (FINE, 1)
        text, pieces = await streamed(model, max_tokens=12)
        assert text == FINE and pieces > 1


@pytest.mark.parametrize("said", [Said(thinking="SECRET"), Said(f"<think>SECRET</think>{FINE}")])
async def test_openais_responses_api(said: Said) -> None:
    with serving(OPENAI, said, name="openai:gpt-5-pro") as (model, server):
        text, call, _ = await asked(model)
        assert (text, call["finish_reason"]) == (FINE, "stop") and "SECRET" not in str(call)
        assert (await streamed(model, max_tokens=12))[0] == FINE
        assert {path for path, _ in server.asked} == {"/v1/responses"}
        assert server.bodies[-1]["max_output_tokens"] == 12
        server.plan.clear()
        server.plan.append(Said("It is bright. I like how it", finish="length"))
        text, call, warnings = await asked(model, wanted=WHOLE)
        assert (text, len(warnings)) == ("It is bright.", 1)
        server.plan[0] = Said("", thinking="Hm.", finish="length")
        with pytest.raises(EmptyAnswerError):
            await asked(model)


@every_provider
async def test_an_answer_cut_inside_its_reasoning_is_asked_for_once_more(
    provider: Provider,
) -> None:
    cut = Said("<think>Okay, so the user", finish="length")
    with serving(provider, cut, Said()) as (model, server):
        text, call, _ = await asked(model)
        assert (text, call["asked"]) == (FINE, 2)
        assert limits_of(provider, server) == [12, 24]


@every_provider
@pytest.mark.parametrize(
    "empty",
    [Said(""), Said("", thinking="Hm.", finish="length"), Said("<think>Hm.", finish="length")],
    ids=["nothing", "reasoning", "unclosed"],
)
async def test_an_empty_answer_is_an_error_of_a_stable_code(
    provider: Provider, empty: Said
) -> None:
    with serving(provider, empty) as (model, server):
        with pytest.raises(EmptyAnswerError) as raised:
            await asked(model)
        assert raised.value.code == "empty_answer"
        assert limits_of(provider, server) == [12, 24]


@every_provider
async def test_a_withheld_answer_is_an_error_at_once(provider: Provider) -> None:
    if provider is OLLAMA:
        pytest.skip("Ollama withholds nothing")
    with serving(provider, Said("", finish="withheld")) as (model, server):
        with raises(EmptyAnswerError, "empty_answer", "filter"):
            await asked(model)
        assert len(server.bodies) == 1


@every_provider
async def test_a_cut_answer_ends_at_a_sentence_and_says_so(provider: Provider) -> None:
    cut = Said("It is bright. I like how it", finish="length")
    with serving(provider, cut) as (model, _):
        text, call, warnings = await asked(model, wanted=WHOLE)
        assert (text, call["finish_reason"]) == ("It is bright.", "length")
        assert len(warnings) == 1 and "12 tokens" in warnings[0]
        text, _, warnings = await asked(model, wanted=Wanted("word"))
        assert text == "It is bright. I like how" and "word" in warnings[0]


@pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC, OLLAMA], ids=lambda each: each.name)
async def test_a_whole_run_with_reasoning(provider: Provider) -> None:
    with serving(provider, Said("<think>SECRET</think>A fine view.")) as (model, server):
        parts = parts_of(model, chat=dict.fromkeys(ROLES, chat_role(model)))
        result = await run(parts, max_iterations=1)
        assert result["text"] == FINE
        assert set(result["summaries"].values()) == {FINE}
        assert result["warnings"] == [] and "SECRET" not in str(result)
        assert len(server.bodies) == 3 and server.refused == 0


# What a server refuses


@dataclass(frozen=True)
class Refusal:
    """An option that a provider refuses in a call, and what it takes instead."""

    provider: Provider
    model: str
    options: dict[str, Any]
    refused: str


REFUSALS = [
    Refusal(OPENAI, "openai:o3-mini", {"temperature": 0.0}, "temperature"),
    Refusal(OLD, "openai:base", {"temperature": 0.0}, "temperature"),
    Refusal(OLD, "openai:base", {"seed": 1}, "seed"),
    Refusal(ANTHROPIC, "anthropic:claude-opus-4-8", {"temperature": 0.0}, "temperature"),
    Refusal(ANTHROPIC, "anthropic:claude-base", {"temperature": 0.5, "top_p": 0.9}, "top_p"),
    # Refused by its client, before anything is sent.
    Refusal(ANTHROPIC, "anthropic:claude-sonnet-5-5", {"temperature": 0.0}, "temperature"),
]


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case.model} {case.refused}")
async def test_a_refused_option_is_left_out_once_and_said(case: Refusal, way: str) -> None:
    with serving(case.provider, Said(), name=case.model) as (model, server):
        for _ in range(2):
            if way == "whole":
                answer = await model.ainvoke(PROMPT.messages, max_tokens=12, **case.options)
                assert case.refused in answer.response_metadata["left_out"]
                assert answer.text == FINE
            else:
                text, _ = await streamed(model, max_tokens=12, **case.options)
                assert text == FINE
        # Another option may have been refused as well, such as the newer word for the limit.
        assert server.refused == len(server.bodies) - 2
        assert case.refused not in server.bodies[-1]
        with opened(case.provider, server.url + case.provider.path, case.model) as again:
            refused = server.refused
            await again.ainvoke(PROMPT.messages, max_tokens=12, **case.options)
            assert server.refused == refused, "it is remembered for the process"


async def test_a_node_says_what_was_left_out() -> None:
    with serving(OLD, Said()) as (model, _):
        _, _, warnings = await asked(model)  # temperature 0: it is one's own server
        assert len(warnings) == 1 and "temperature" in warnings[0]


async def test_an_older_server_is_sent_the_older_word_for_the_limit() -> None:
    with serving(OLD, Said()) as (model, server):
        answer = await model.ainvoke(PROMPT.messages, max_tokens=12)
        assert answer.text == FINE and "left_out" not in answer.response_metadata
        assert [set(body) & {"max_tokens", "max_completion_tokens"} for body in server.bodies] == [
            {"max_completion_tokens"},
            {"max_tokens"},
        ]
        await model.ainvoke(PROMPT.messages, max_tokens=12)
        assert server.bodies[-1]["max_tokens"] == 12 and server.refused == 1


async def test_concurrent_calls_learn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(OLD, Said()) as (model, server):
        calls = [model.ainvoke(PROMPT.messages, max_tokens=12, temperature=0) for _ in range(6)]
        answers = await asyncio.gather(*calls)
        assert {answer.text for answer in answers} == {FINE}
        assert server.bodies[-1]["max_tokens"] == 12


@pytest.mark.parametrize(
    ("provider", "options", "missing"),
    [(ANTHROPIC, {"seed": 1}, "seed")],
    ids=["anthropic has no seed"],
)
async def test_an_option_that_a_provider_lacks_is_not_sent(
    provider: Provider, options: dict[str, Any], missing: str
) -> None:
    with serving(provider, Said()) as (model, server):
        answer = await model.ainvoke(PROMPT.messages, max_tokens=12, **options)
        assert missing in answer.response_metadata["left_out"]
        assert server.refused == 0 and len(server.bodies) == 1


@every_provider
async def test_options_reach_a_provider_in_its_own_words(provider: Provider) -> None:
    options = {"temperature": 0.5, "stop": ["x"], "max_tokens": 12}
    if provider is not ANTHROPIC:
        options |= {"seed": 3, "top_p": 0.9}
    with serving(provider, Said()) as (model, server):
        answer = await model.ainvoke(PROMPT.messages, **options)
        assert answer.text == FINE and "left_out" not in answer.response_metadata
        assert server.refused == 0
        (body,) = server.bodies
        sent = {**body, **body.get("options", {}), **body.get("generationConfig", {})}
        expected = {
            "openai": {"temperature": 0.5, "seed": 3, "top_p": 0.9, "stop": ["x"]},
            "anthropic": {"temperature": 0.5, "stop_sequences": ["x"]},
            "ollama": {"temperature": 0.5, "seed": 3, "top_p": 0.9, "stop": ["x"]},
            "mistralai": {"temperature": 0.5, "random_seed": 3, "top_p": 0.9, "stop": ["x"]},
            "google_genai": {"temperature": 0.5, "seed": 3, "topP": 0.9, "stopSequences": ["x"]},
        }[model.server.provider]
        assert {name: sent.get(name) for name in expected} == expected
        assert limits_of(provider, server) == [12]


@every_provider
async def test_several_drafts_are_asked_for_side_by_side_with_their_own_seeds(
    provider: Provider,
) -> None:
    with serving(provider, Said()) as (model, server):
        parts = parts_of(model, chat=dict.fromkeys(ROLES, chat_role(model)))
        result = await run(parts, drafts=3, max_iterations=1)
        assert result["text"] == FINE and result["calls"] == 5
        assert len(server.bodies) - server.refused == 5
        assert (result["tokens_in"], result["tokens_out"]) == (5 * PROMPT_TOKENS, 5 * ANSWER_TOKENS)
        sent = [
            {**body, **body.get("options", {}), **body.get("generationConfig", {})}
            for body in server.bodies
        ]
        seeds = {each.get("seed", each.get("random_seed")) for each in sent} - {None}
        # The first draft is greedy on one's own server, and needs none.
        assert len(seeds) == (0 if provider is ANTHROPIC else 2)
        assert sum(each.get("temperature", 0) > 0 for each in sent) >= 2


@pytest.mark.parametrize("provider", ALL, ids=lambda each: each.name)
async def test_a_refusal_of_the_call_is_one_clear_error(provider: Provider) -> None:
    wrong_key = Refused(401, {"error": {"message": "invalid key", "code": 401, "status": "X"}})
    with serving(provider, wrong_key) as (model, server):
        with raises(CallRefused, "server_refused", 401, "invalid key"):
            await model.ainvoke(PROMPT.messages, max_tokens=12)
        with pytest.raises(ModelCallError) as raised:
            await asked(model)
        assert not raised.value.transient and len(server.bodies) == 2


async def test_a_type_error_is_final() -> None:
    with serving(OPENAI, Said()) as (model, server):
        calls = []

        async def broken(*_: Any, **__: Any) -> Any:
            calls.append(1)
            raise TypeError("create() takes 1 positional argument but 2 were given")

        object.__setattr__(model._inner, "ainvoke", broken)
        with raises(CallRefused, "server_refused", "TypeError"):
            await model.ainvoke(PROMPT.messages)
        assert len(calls) == 1 and server.bodies == []


async def test_an_argument_that_the_sdk_lacks_is_left_out() -> None:
    with serving(OPENAI, Said()) as (model, server):
        given, real = [], model._inner.ainvoke

        async def without_seed(*args: Any, **options: Any) -> Any:
            given.append(options)
            if "seed" in options:
                raise TypeError("create() got an unexpected keyword argument 'seed'")
            return await real(*args, **options)

        object.__setattr__(model._inner, "ainvoke", without_seed)
        answer = await model.ainvoke(PROMPT.messages, max_tokens=12, seed=1)
        assert answer.text == FINE and "seed" in answer.response_metadata["left_out"]
        assert len(given) == 2 and len(server.bodies) == 1


@pytest.mark.parametrize(
    ("provider", "path", "better"),
    [(OPENAI, "", "/v1"), (ANTHROPIC, "/v1", ""), (OLLAMA, "/v1", "")],
    ids=["openai wants it", "anthropic does not", "ollama does not"],
)
async def test_a_base_url_with_a_wrong_path_gets_a_hint(
    provider: Provider, path: str, better: str
) -> None:
    with provider_server(provider.handle) as server, opened(provider, server.url + path) as model:
        with raises(CallRefused, "server_refused") as raised:
            await model.ainvoke(PROMPT.messages, max_tokens=12)
        assert str(raised.value).endswith(f" {server.url}{better}")


# Reasoning models, windows


async def test_a_model_that_is_known_to_reason_has_room_for_it() -> None:
    for name in ("openai:o3-mini", "openai:deepseek-r1", "openai:qwen3-8b"):
        with serving(OPENAI, Said(), name=name) as (model, server):
            await asked(model)
            assert server.bodies[-1]["max_completion_tokens"] == 12 + REASONING_ROOM
    with serving(OPENAI, Said()) as (model, _):
        assert chat_role(model).reasoning_room == 0


async def test_ollama_reads_the_whole_prompt() -> None:
    long = Prompt("You write reviews.", "word " * 5 * DEFAULT_NUM_CTX)
    with serving(OLLAMA, Said()) as (model, server):
        assert (await model.ainvoke(PROMPT.messages, max_tokens=12)).text == FINE
        answer = await model.ainvoke(long.messages, max_tokens=12)
        assert answer.text == FINE, "the prompt was cut"
        await model.ainvoke(PROMPT.messages, max_tokens=12)
        sizes = [body["options"]["num_ctx"] for body in server.bodies]
        assert sizes[0] >= 8192 and sizes[1] == sizes[2] > sizes[0], "it only grows"


@pytest.mark.parametrize("provider", [OPENAI, OLLAMA], ids=lambda each: each.name)
def test_ones_own_server_tells_its_window(provider: Provider) -> None:
    with serving(provider, Said(), window=32768) as (model, _):
        assert model.window == chat_role(model).window == 32768
    with serving(provider, Said()) as (model, _):
        assert model.window is None


def test_langchains_profile_tells_a_providers_window() -> None:
    model = open_chat_model("anthropic:claude-sonnet-4-5")
    assert isinstance(model, RemoteChatModel)
    assert model.window is not None and model.window >= 100_000
    model.close()
