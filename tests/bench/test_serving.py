"""The serving bench: its prompts, lost or mixed-up answers, times of callers."""

from collections.abc import Iterator

import pytest
from patlm.bench.serving.inputs import prompts_of, texts_of
from patlm.bench.serving.load import count_lost_and_crossed, measure_callers
from patlm.models.local.chat_model import LocalChatModel
from tiny_models import tiny_chat


@pytest.fixture
def chat() -> Iterator[LocalChatModel]:
    chat = tiny_chat(window=4096)
    yield chat
    chat.close()


async def test_every_marked_call_comes_back_and_a_crossed_one_is_seen(chat: LocalChatModel) -> None:
    def templated(messages: list[tuple[str, str]]) -> list[int]:
        (prompt,) = messages
        text = f"<|im_start|>user\n{prompt[1]}<|im_end|>\n<|im_start|>assistant\n"
        ids: list[int] = chat.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    found = await count_lost_and_crossed(chat, templated, calls=40, callers=16)
    assert found == {"calls": 40, "lost": 0, "crossed": 0}
    crossed = await count_lost_and_crossed(
        chat,
        lambda messages: templated([("user", "Marker 000007: say a word.")]),
        calls=9,
        callers=3,
    )
    assert crossed == {"calls": 9, "lost": 0, "crossed": 8}


async def test_callers_are_timed_to_the_first_token_and_to_the_end(chat: LocalChatModel) -> None:
    row = await measure_callers(chat, prompts_of(texts_of(None), 4, chat), callers=6)
    assert (row["system"], row["callers"]) == ("patlm", 6)
    assert 0 < row["ttft_ms"]["p50"] <= row["total_ms"]["p50"] <= row["total_ms"]["p95"]
    assert row["tokens_per_s"] > 0
