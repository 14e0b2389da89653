"""A run ends in time, with the best draft so far or a clear error."""

import asyncio
import time
from typing import Any

import pytest
from fakes import ScriptedChat
from loop_parts import GivenRetrieval, MemoryTrace, parts_of, run
from patlm.nodes.errors import DeadlineError
from raising import raises

NODE_S = 0.2
"""Seconds a model's answer takes here; an iteration has two of them one after the other."""
SLACK_S = 2.0
"""What a busy machine may take besides."""

WORDS = "apple river stone cloud music paper tiger ocean lemon bread".split()
CHANGING: dict[str, Any] = {
    role: WORDS[at:] + WORDS[:at] for at, role in enumerate(("style", "preference", "integrate"))
}


def slow_model(seconds: float = NODE_S) -> ScriptedChat:
    return ScriptedChat(says=CHANGING, slow_s=seconds)


async def test_a_spent_deadline_gives_back_the_best_draft() -> None:
    began = time.monotonic()
    deadline = 10 * NODE_S  # on a busy machine, too, there is a draft by then
    result = await run(parts_of(slow_model()), deadline_s=deadline, max_iterations=10)
    assert time.monotonic() - began < deadline + NODE_S + SLACK_S
    assert result["stop_reason"] == "deadline"
    assert result["text"] in CHANGING["integrate"]
    assert result["iterations"] < 10


async def test_a_node_that_passes_the_deadline_is_cut_off() -> None:
    # The first iteration is instant, so a second one is begun; its first answer takes for ever.
    model = ScriptedChat(says=CHANGING)

    def slow_later(asked: Any) -> None:
        model.slow_s = 60.0 if asked.number > 1 else 0.0

    model.fault = slow_later
    trace, began = MemoryTrace(), time.monotonic()
    result = await run(parts_of(model, trace=trace), deadline_s=1.0, max_iterations=9)
    assert time.monotonic() - began < 1.0 + SLACK_S
    assert (result["stop_reason"], result["text"]) == ("deadline", "stone")
    assert result["summaries"] == {"style": "apple", "preference": "river"}
    assert "the deadline of 1 s passed in" in result["warnings"][0]
    assert "before there was a draft" not in result["warnings"][0]
    assert [record.stop_reason for record in trace.records] == ["deadline"]


async def test_without_a_draft_it_is_a_clear_error() -> None:
    model, trace, began = slow_model(60), MemoryTrace(), time.monotonic()
    with raises(DeadlineError, "deadline", "1 s") as raised:
        await run(parts_of(model, trace=trace), deadline_s=1.0)
    assert raised.value.node in ("style-reason", "preference-reason")
    assert time.monotonic() - began < 1.0 + SLACK_S
    assert len(model.asked) == 2, "each reasoner is asked once: a spent deadline is not retried"
    (record,) = trace.records
    assert record.stop_reason is None and "DeadlineError" in str(record.error)


async def test_a_retry_does_not_begin_the_time_anew() -> None:
    class Flaky(GivenRetrieval):
        async def history(self, *arguments: Any, **named: Any) -> Any:
            await asyncio.sleep(0.3)
            if len(self.asked) < 2:
                self.asked.append(("lost", {}))
                raise ConnectionError("reset")
            return await super().history(*arguments, **named)

    # .3 s, a pause of .2, .3 again: past .7 s only if the first attempt counts.
    began = time.monotonic()
    with pytest.raises(DeadlineError):
        await run(parts_of(ScriptedChat(), Flaky()), deadline_s=0.7)
    assert time.monotonic() - began < 0.7 + SLACK_S


async def test_a_model_that_only_blocks_does_not_hold_the_run() -> None:
    class Blocking(ScriptedChat):
        async def _agenerate(self, *arguments: Any, **named: Any) -> Any:
            return await asyncio.to_thread(time.sleep, 3.0)

    began = time.monotonic()
    with pytest.raises(DeadlineError):
        await run(parts_of(Blocking()), deadline_s=0.2)
    assert time.monotonic() - began < 0.2 + SLACK_S
