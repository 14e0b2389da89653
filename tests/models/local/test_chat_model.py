"""The local chat model over a real, tiny, random Llama: batching must not show in the answers."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Annotated, TypedDict

import pytest
import torch
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph
from patlm.models.errors import AdapterRefused, CallRefused
from patlm.models.local import engine as generation
from patlm.models.local import engine as token_hooks
from patlm.models.local.chat_model import LocalChatModel
from patlm.models.local.engine import draw, left_pad
from patlm.models.open import token_counter
from raising import raises
from tiny_models import CHAT_TEMPLATE, WINDOW, tiny_chat

PROMPTS = ["a", "a longer prompt than the first", "b?", "Ünïcödé", "x" * 90, "one two three"]


@pytest.fixture
def model() -> Iterator[LocalChatModel]:
    chat = tiny_chat()
    yield chat
    chat.close()


@pytest.fixture
def slow(model: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> LocalChatModel:
    """The model with five milliseconds a token, so that a test can act in between."""
    original = token_hooks.PushTokens.__call__

    def slowly(self: token_hooks.PushTokens, *args: object, **kwargs: object) -> torch.Tensor:
        time.sleep(0.005)
        return original(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(token_hooks.PushTokens, "__call__", slowly)
    return model


@pytest.fixture
def batches(model: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that are generated."""
    sizes: list[int] = []
    original = left_pad

    def counting(prompts: list[list[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
        sizes.append(len(prompts))
        return original(prompts, pad_id)

    monkeypatch.setattr(generation, "left_pad", counting)
    return sizes


def let_it_say(model: LocalChatModel, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next sampled answers be a text."""
    ids = [*model.tokenizer(text, add_special_tokens=False)["input_ids"], *model._end_ids]
    tokens = itertools.cycle(ids)
    monkeypatch.setattr(generation, "draw", lambda *_: next(tokens))


@pytest.mark.parametrize(
    ("opening", "says"),
    [("", "<think>SECRET</think>\n\nFine."), ("<think>\n", "SECRET</think>\n\nFine.")],
    ids=["in the answer", "in the template"],
)
async def test_reasoning_is_no_part_of_an_answer(
    opening: str, says: str, model: LocalChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not model.reasons
    ending = f"assistant\n{opening}{{% endif %}}"
    model.tokenizer.chat_template = CHAT_TEMPLATE.replace("assistant\n{% endif %}", ending)
    let_it_say(model, says, monkeypatch)
    sampled = {"temperature": 1.0, "max_tokens": 60}
    whole = await model.ainvoke("hi", **sampled)
    assert (whole.text, whole.response_metadata["reasoning_removed"]) == ("Fine.", True)
    assert model.invoke("hi", **sampled).text == "Fine."
    assert "".join(str(c.text) for c in model.stream("hi", **sampled)) == "Fine."
    chunks = [str(chunk.text) async for chunk in model.astream("hi", **sampled)]
    assert "".join(chunks) == "Fine." and len([chunk for chunk in chunks if chunk]) > 1
    let_it_say(model, says, monkeypatch)
    cut = await model.ainvoke("hi", temperature=1.0, max_tokens=8)
    assert (cut.text, cut.response_metadata["finish_reason"]) == ("", "length")


async def test_greedy_answers_are_the_same_batched_or_alone(
    model: LocalChatModel, batches: list[int]
) -> None:
    alone = [(await model.ainvoke(prompt, max_tokens=24)).content for prompt in PROMPTS]
    together = [answer.content for answer in await model.abatch(PROMPTS, max_tokens=24)]
    assert together == alone and len(set(alone)) > 1
    assert max(batches) > 1


async def test_draws_repeat_with_a_seed_and_differ_without(model: LocalChatModel) -> None:
    drawing = model.bind(temperature=1.5, max_tokens=20)
    first, again = [(await drawing.ainvoke("hi", seed=1)).content for _ in range(2)]
    other = (await drawing.ainvoke("hi", seed=2)).content
    free = {(await drawing.ainvoke("hi")).content for _ in range(4)}
    assert first == again != other and len(free) > 1


def test_draw_follows_the_distribution() -> None:
    # softmax([ln 1, ln 2, ln 5]) = 1/8, 2/8, 5/8. At 4,000 draws three standard errors of the
    # largest share are 3 sqrt(.625 * .375 / 4000) = .023.
    logits = torch.tensor([1.0, 2.0, 5.0]).log()
    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor([draw(logits, 1.0, 1.0, generator) for _ in range(4000)])
    shares = torch.bincount(drawn, minlength=3) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.125, 0.25, 0.625]), atol=0.023, rtol=0)
    # top_p = .6: the likeliest token alone reaches it. top_p = .7: the second is needed too.
    assert {draw(logits, 1.0, 0.6, generator) for _ in range(200)} == {2}
    assert {draw(logits, 1.0, 0.7, generator) for _ in range(200)} == {1, 2}
    # At a low temperature the likeliest token takes all; -inf never comes.
    assert {draw(logits, 0.05, 1.0, generator) for _ in range(200)} == {2}
    banned = torch.tensor([0.0, -torch.inf, 0.0])
    assert {draw(banned, 5.0, 1.0, generator) for _ in range(200)} == {0, 2}


async def test_streamed_pieces_are_the_answer(model: LocalChatModel) -> None:
    whole = await model.ainvoke(PROMPTS[1], max_tokens=30, stop=["~"])
    chunks = [chunk async for chunk in model.astream(PROMPTS[1], max_tokens=30, stop=["~"])]
    assert "".join(str(chunk.content) for chunk in chunks) == whole.content
    assert len(chunks) > 3
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert chunks[-1].response_metadata == whole.response_metadata
    assert [str(chunk.content) for chunk in model.stream(PROMPTS[1], max_tokens=30, stop=["~"])]


async def test_a_stop_string_is_not_part_of_the_answer(model: LocalChatModel) -> None:
    free = str((await model.ainvoke("a", max_tokens=30)).content)
    stop = free[10]
    stopped = await model.ainvoke("a", max_tokens=30, stop=[stop])
    assert stopped.content == free[: free.index(stop)]
    assert stopped.response_metadata["finish_reason"] == "stop"


async def test_langgraph_streams_tokens_of_a_plain_ainvoke(model: LocalChatModel) -> None:
    class State(TypedDict):
        said: Annotated[str, "answer"]

    async def speak(state: State) -> State:
        return {"said": str((await model.ainvoke("a", max_tokens=12)).content)}

    graph = StateGraph(State).add_node("speak", speak)  # type: ignore[call-overload]
    compiled = graph.add_edge(START, "speak").add_edge("speak", END).compile()
    pieces, said = [], ""
    async for mode, part in compiled.astream({"said": ""}, stream_mode=["messages", "updates"]):
        if mode == "messages":
            pieces.append(str(part[0].content))
        else:
            said = part["speak"]["said"]
    assert len(pieces) > 3 and "".join(pieces) == said


async def test_a_prompt_over_the_window_fails_alone(model: LocalChatModel) -> None:
    long, short = await asyncio.gather(
        model.ainvoke("y" * WINDOW), model.ainvoke("a", max_tokens=5), return_exceptions=True
    )
    # <|im_start|>user\n...<|im_end|>\n: 8 beside the text; <|im_start|>assistant\n: 11.
    assert isinstance(long, CallRefused)
    assert f"the prompt has {WINDOW + 8 + 11} tokens" in str(long) and str(WINDOW) in str(long)
    assert isinstance(short, AIMessage)


async def test_an_answer_stops_where_the_window_ends(model: LocalChatModel) -> None:
    answer = await model.ainvoke("y" * 230, max_tokens=100)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] <= WINDOW


async def test_rows_of_one_batch_keep_their_own_least_length(model: LocalChatModel) -> None:
    # All tokens are as likely as any, so 257 of them end soon; a draw at a high temperature.
    options = {"temperature": 50.0, "max_tokens": 200}
    calls = [
        model.ainvoke("a", seed=seed, min_tokens=least, **options)
        for seed in range(12)
        for least in (0, 120)
    ]
    lengths = [answer.usage_metadata["output_tokens"] for answer in await asyncio.gather(*calls)]
    assert min(lengths[0::2]) < 120, "without a least length some end early"
    assert min(lengths[1::2]) >= 120


async def test_refused_calls(model: LocalChatModel) -> None:
    with raises(AdapterRefused, "adapter_missing", "style@3"):
        await model.bind(adapter="style@3").ainvoke("a")
    with raises(CallRefused, "cannot_template"):
        await model.ainvoke([AIMessage("the last turn is not the user's")])


async def test_a_cancelled_caller_frees_its_row(slow: LocalChatModel) -> None:
    long = asyncio.create_task(slow.ainvoke("a", max_tokens=200, stop=None))
    await asyncio.sleep(0.2)
    started = time.monotonic()
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    await slow.ainvoke("b", max_tokens=1)
    # 200 tokens at 5 ms would hold the next call for 0.8 s more.
    assert time.monotonic() - started < 0.6


def test_tokens_are_counted_by_the_models_own_tokenizer(model: LocalChatModel) -> None:
    assert token_counter(model)("four") == model.count_tokens("four") == 4
    assert model.window == WINDOW and model.model_name == "tiny"
