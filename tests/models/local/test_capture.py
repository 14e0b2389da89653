"""What is captured of a call is exactly what the model read, wrote and gave it for probability."""

import asyncio
from collections.abc import Iterator

import pytest
import torch
from patlm.models.local.chat_model import LocalChatModel
from tiny_models import tiny_chat

CALLS = [
    ("hello", {"max_tokens": 12}),
    ("a longer prompt than the first", {"max_tokens": 20, "temperature": 0.7, "seed": 1}),
    ("b?", {"max_tokens": 9, "temperature": 1.3, "seed": 2}),
    ("c", {"max_tokens": 16, "temperature": 1.0, "seed": 3, "top_p": 0.6}),
    ("d", {"max_tokens": 16, "no_repeat_ngram_size": 1}),
]


@pytest.fixture
def model() -> Iterator[LocalChatModel]:
    chat = tiny_chat()
    yield chat
    chat.close()


def teacher_forced(
    model: LocalChatModel, prompt: list[int], new: list[int], temperature: float
) -> torch.Tensor:
    """Return the log-probability of each new token by one forward pass over the whole text."""
    with torch.no_grad():
        logits = model.llm.pipeline.model(torch.tensor([prompt + new])).logits[0]
    scaled = (logits / temperature).log_softmax(-1)
    return scaled[len(prompt) - 1 : -1].gather(1, torch.tensor(new).unsqueeze(1)).squeeze(1)


async def test_logprobs_equal_a_teacher_forced_pass(model: LocalChatModel) -> None:
    answers = await asyncio.gather(
        *(model.ainvoke(prompt, capture=True, **options) for prompt, options in CALLS)
    )
    for answer, (_, options) in zip(answers, CALLS, strict=True):
        info = answer.response_metadata
        temperature = options.get("temperature", 1.0)
        wanted = teacher_forced(model, info["prompt_token_ids"], info["token_ids"], temperature)
        assert len(info["logprobs"]) == len(info["token_ids"]) > 1
        torch.testing.assert_close(torch.tensor(info["logprobs"]), wanted, atol=1e-4, rtol=0)
        decoded = model.tokenizer.decode(info["token_ids"], skip_special_tokens=True)
        assert decoded == answer.content
    # Temperature shows: the same tokens at 1.0 have other probabilities.
    info = answers[2].response_metadata
    plain = teacher_forced(model, info["prompt_token_ids"], info["token_ids"], 1.0)
    assert (torch.tensor(info["logprobs"]) - plain).abs().max() > 1e-2


async def test_the_prompt_ids_are_those_of_the_chat_template(model: LocalChatModel) -> None:
    answer = await model.ainvoke([("system", "s"), ("user", "u")], max_tokens=1, capture=True)
    text = "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"
    wanted = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert answer.response_metadata["prompt_token_ids"] == wanted


async def test_only_those_who_ask_are_captured(model: LocalChatModel) -> None:
    asked, other = await asyncio.gather(
        model.ainvoke("same", max_tokens=8, capture=True), model.ainvoke("same", max_tokens=8)
    )
    assert asked.content == other.content
    assert "logprobs" not in other.response_metadata
    assert "logprobs" in asked.response_metadata
