"""A real OpenAI-compatible server, transformers' own, under the bundled weights."""

from collections.abc import Iterator

import pytest
from langchain_core.messages import AIMessageChunk
from loop_parts import ROLES, parts_of, run, turn_of
from patlm.graph import Budget
from patlm.graph.open import chat_role
from patlm.models.answers import whole_words
from patlm.models.catalogue import SMALLEST
from patlm.models.errors import AdapterRefused, CallRefused
from patlm.models.installed import model_path
from patlm.models.local.chat_model import LocalChatModel
from patlm.models.open import open_chat_model
from patlm.models.remote.chat_model import RemoteChatModel
from patlm.nodes.model_call import Wanted, call_model
from patlm.nodes.prompts.build import Prompt
from raising import raises
from servers import transformers_serve

pytestmark = [pytest.mark.bundled, pytest.mark.server, pytest.mark.slow]

ASK = [("system", "You write short reviews."), ("user", "Write about a wool blanket.")]
GREEDY = {"temperature": 0.0, "max_tokens": 8}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with transformers_serve(model_path(SMALLEST), tmp_path_factory.mktemp("serve")) as url:
        yield url


@pytest.fixture(scope="module")
def name() -> str:
    return f"openai:{model_path('smollm2-135m')}"


@pytest.fixture(scope="module")
def model(url: str, name: str) -> Iterator[RemoteChatModel]:
    opened = open_chat_model(name, base_url=url)
    assert isinstance(opened, RemoteChatModel)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def local_answer() -> str:
    """What the same weights say in this process, in the same number format."""
    local = open_chat_model("smollm2-135m", dtype="fp32")
    assert isinstance(local, LocalChatModel)
    answer = str(local.invoke(ASK, **GREEDY).text)
    local.close()
    return answer


def test_invoke(model: RemoteChatModel, local_answer: str) -> None:
    answer = model.invoke(ASK, **GREEDY)
    assert answer.text == local_answer
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.response_metadata["adapter"] == "base"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == GREEDY["max_tokens"]


async def test_astream(model: RemoteChatModel, local_answer: str) -> None:
    chunks: list[AIMessageChunk] = [chunk async for chunk in model.astream(ASK, **GREEDY)]
    texts = [str(chunk.text) for chunk in chunks if chunk.text]
    assert "".join(texts) == local_answer and len(texts) > 1
    assert chunks[-1].response_metadata["finish_reason"] == "length"


async def test_an_adapter_that_the_server_lacks(model: RemoteChatModel, local_answer: str) -> None:
    with raises(AdapterRefused, "adapter_missing", "style@3", "pinned"):
        await model.ainvoke(ASK, adapter="style@3", **GREEDY)
    answer = await model.ainvoke(ASK, adapter="style@3", adapter_fallback=True, **GREEDY)
    assert (answer.text, answer.response_metadata["adapter"]) == (local_answer, "base")


async def test_a_cut_answer(model: RemoteChatModel, local_answer: str) -> None:
    parts = parts_of(model, chat=dict.fromkeys(ROLES, chat_role(model)))
    warnings: list[str] = []
    prompt = Prompt(ASK[0][1], ASK[1][1])
    wanted = Wanted("word")
    text, call = await call_model(
        turn_of(parts), "integrate", prompt, max_tokens=8, wanted=wanted, warnings=warnings
    )
    assert (call["text"], call["finish_reason"]) == (local_answer.strip(), "length")
    assert text == whole_words(local_answer.strip()) and len(warnings) == 1


async def test_all_options_are_taken(model: RemoteChatModel) -> None:
    options = {"temperature": 0.5, "top_p": 0.9, "seed": 1, "stop": ["xyz"], "max_tokens": 8}
    answer = await model.ainvoke(ASK, **options)
    assert answer.text and "left_out" not in answer.response_metadata


async def test_an_address_without_v1_gets_the_hint(url: str, name: str) -> None:
    elsewhere = open_chat_model(name, base_url=url.removesuffix("/v1"))
    assert isinstance(elsewhere, RemoteChatModel)
    with raises(CallRefused, "server_refused") as raised:
        await elsewhere.ainvoke(ASK, **GREEDY)
    assert str(raised.value).endswith(f" {url}")
    elsewhere.close()


async def test_the_whole_loop(model: RemoteChatModel) -> None:
    short = Budget(summary=6, answer={"long": 8})
    parts = parts_of(model, budget=short, chat=dict.fromkeys(ROLES, chat_role(model)))
    result = await run(parts, max_iterations=1)
    assert result["text"] and all(result["summaries"].values())
    assert result["stop_reason"] == "max_iterations"
    assert [warning.partition(" tokens")[0][-1] for warning in result["warnings"]] == [*"668"]
    assert set(result["adapters"].values()) == {"base"}
