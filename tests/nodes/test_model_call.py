"""The record of one call: how it was sampled, and exact tokens where the weights are at hand."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes import ScriptedChat, fails
from loop_parts import MemoryTrace, loop_of, parts_of, run, turn_of
from patlm.graph.open import chat_role
from patlm.models.local.chat_model import LocalChatModel
from patlm.nodes.dependencies import ChatRole, Parts
from patlm.nodes.errors import LoopError
from patlm.nodes.model_call import call_model
from patlm.nodes.prompts.build import Prompt
from patlm.nodes.state import RunContext
from patlm.stores.episodes.schema import Sample, SamplingSettings
from tiny_models import tiny_chat

ROLES = ("style", "preference", "integrate")
PROMPT = Prompt("Say it.", "Say what?")


@pytest.fixture
async def tiny() -> AsyncIterator[LocalChatModel]:
    chat = tiny_chat(window=4096)
    yield chat
    chat.close()


def parts_with(role: ChatRole, **given: Any) -> Parts:
    return parts_of(role.model, chat=dict.fromkeys(ROLES, role), **given)


async def sample_of(parts: Parts, **options: Any) -> Sample:
    _, call = await call_model(turn_of(parts), "style", PROMPT, max_tokens=12, **options)
    return Sample.model_validate({"node": "style-reason", "iteration": 1, **call})


async def test_a_captured_call_holds_what_the_model_read_and_wrote(tiny: LocalChatModel) -> None:
    sample = await sample_of(parts_with(chat_role(tiny), capture=True))
    assert sample.exact and sample.prompt_token_ids and sample.token_ids
    assert tiny.tokenizer.decode(sample.token_ids, skip_special_tokens=True).strip() == sample.text
    assert "Say what?" in tiny.tokenizer.decode(sample.prompt_token_ids)
    assert sample.logprobs is not None and len(sample.logprobs) == len(sample.token_ids)
    assert all(logprob <= 0 for logprob in sample.logprobs)
    assert (sample.base, sample.finish_reason) == (tiny.fingerprint, "length")
    assert sample.sampling == SamplingSettings(
        temperature=0.0, max_tokens=12, no_repeat_ngram_size=4
    )


async def test_nothing_is_captured_unless_it_is_asked_for(tiny: LocalChatModel) -> None:
    sample = await sample_of(parts_with(chat_role(tiny)))
    assert (sample.prompt_token_ids, sample.token_ids, sample.logprobs) == (None, None, None)
    assert not sample.exact and sample.base == tiny.fingerprint


async def test_options_of_a_call_stand_in_place_of_the_role_s(model: ScriptedChat) -> None:
    role = ChatRole(model, "m", options={"temperature": 0.0, "no_repeat_ngram_size": 4})
    drawn = {"temperature": 0.7, "no_repeat_ngram_size": 0, "seed": 3}
    sample = await sample_of(parts_with(role), **drawn)
    assert model.asked[0].options == {"max_tokens": 12, **drawn}
    assert sample.sampling == SamplingSettings(temperature=0.7, seed=3, max_tokens=12)


async def test_a_run_keeps_exact_samples_whether_it_is_streamed_or_not(
    tiny: LocalChatModel,
) -> None:
    trace = MemoryTrace()
    parts = parts_with(chat_role(tiny), capture=True, trace=trace)
    await run(parts, max_iterations=1)
    graph = loop_of(parts)
    request = {"user_id": "ana", "task": "long", "title": "Two nights by the sea"}
    async for _ in graph.astream(
        request, context=RunContext(max_iterations=1), stream_mode="messages"
    ):
        pass
    plain, streamed = trace.records
    ids = ["integrate@1", "preference-reason@1", "style-reason@1"]
    assert sorted(sample.id for sample in plain.samples) == ids
    by_id = [{s.id: (s.token_ids, s.logprobs) for s in each.samples} for each in trace.records]
    assert by_id[0].keys() == by_id[1].keys()
    assert all(sample.exact for sample in (*plain.samples, *streamed.samples))
    assert by_id[0]["style-reason@1"][0] == by_id[1]["style-reason@1"][0]


async def test_a_call_that_failed_for_good_is_kept_as_failed() -> None:
    trace = MemoryTrace()
    broken = fails(ValueError("out of words"), role="integrate")
    with pytest.raises(LoopError, match="out of words"):
        await run(parts_of(ScriptedChat(fault=broken), trace=trace))
    (record,) = trace.records
    (failed,) = (sample for sample in record.samples if sample.error is not None)
    assert (failed.id, failed.text) == ("integrate@1", None)
    assert (failed.error, failed.model) == ("ValueError: out of words", "integrate-model")
    assert "They like the view." in failed.messages[-1].content
    assert len(record.samples) == 3
