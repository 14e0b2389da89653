"""The parts of the serving bench that count: what is read twice, what is lost or crossed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from patlm.bench.serving.inputs import prompts_of, requests_of, texts_of
from patlm.bench.serving.load import count_lost_and_crossed, measure_callers
from patlm.bench.serving.prefix import share_read_twice
from patlm.models.local.batcher import BatchLimits
from patlm.models.local.chat_model import LocalChatModel
from patlm.stores.episodes.schema import Episode, Sample
from tiny_models import tiny_chat


@pytest.fixture
def chat() -> Iterator[LocalChatModel]:
    chat = tiny_chat(window=4096)
    yield chat
    chat.close()


def call(role: str, iteration: int, content: str) -> Sample:
    return Sample.model_validate(
        {
            "node": f"{role}-reason",
            "iteration": iteration,
            "role": role,
            "model": "m",
            "adapter": "base",
            "messages": [{"role": "user", "content": content}],
            "text": "t",
            "seconds": 0.0,
        }
    )


def run_of(*calls: Sample) -> Episode:
    return Episode(
        run_id="r",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        namespace="default",
        request={},
        context={},
        samples=calls,
    )


def test_only_a_common_beginning_of_one_role_in_one_run_counts() -> None:
    runs = [
        run_of(call("style", 1, "abcd"), call("style", 2, "abxdef"), call("integrate", 1, "abcd")),
        run_of(call("style", 1, "abcd")),
    ]
    # One character a token: 2 of 4 + 6 + 4 + 4.
    assert share_read_twice(runs, lambda messages: list(map(ord, messages[0][1]))) == 2 / 18
    assert share_read_twice([], lambda messages: []) == 0


def test_requests_and_prompts_are_spread_over_the_sample(chat: LocalChatModel) -> None:
    texts = texts_of(None)
    requests = requests_of(texts, 16)
    assert len({request.user_id for request in requests}) > 8
    prompts = prompts_of(texts, 16, chat)
    assert len({prompt[1][1] for prompt in prompts}) == 16


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


async def test_a_full_queue_is_counted_as_lost() -> None:
    chat = tiny_chat(BatchLimits(rows=1, waiting=2), window=4096)
    found = await count_lost_and_crossed(chat, lambda messages: [], calls=30, callers=30)
    assert found["lost"] > 0 and found["lost"] + found["crossed"] == 30
    chat.close()


async def test_callers_are_timed_to_the_first_token_and_to_the_end(chat: LocalChatModel) -> None:
    row = await measure_callers(chat, prompts_of(texts_of(None), 4, chat), callers=6)
    assert (row["system"], row["callers"]) == ("patlm", 6)
    assert 0 < row["ttft_ms"]["p50"] <= row["total_ms"]["p50"] <= row["total_ms"]["p95"]
    assert row["tokens_per_s"] > 0
