"""The record of one call: how it was sampled, and exact tokens where the weights are at hand."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes import MessageChat, ScriptedChat, fails
from langchain_core.messages import AIMessage
from loop_parts import LONG, MemoryTrace, loop_of, parts_of, run, turn_of
from patlm.graph.events import STREAM_MODES, DraftToken, read_events
from patlm.graph.open import chat_role
from patlm.models.local.chat_model import LocalChatModel
from patlm.nodes.dependencies import ChatRole, Parts
from patlm.nodes.errors import EmptyAnswerError, ModelCallError
from patlm.nodes.model_call import Wanted, call_model
from patlm.nodes.prompts.build import Prompt
from patlm.nodes.state import RunContext
from patlm.stores.episodes.schema import Sample, SamplingSettings
from raising import raises
from tiny_models import tiny_chat

ROLES = ("style", "preference", "integrate")
PROMPT = Prompt("Say it.", "Say what?")
ANY = Wanted()


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
    with raises(ModelCallError, "model_failed", "out of words"):
        await run(parts_of(ScriptedChat(fault=broken), trace=trace))
    (record,) = trace.records
    (failed,) = (sample for sample in record.samples if sample.error is not None)
    assert (failed.id, failed.text) == ("integrate@1", None)
    assert (failed.error, failed.model) == ("ValueError: out of words", "integrate-model")
    assert "They like the view." in failed.messages[-1].content
    assert len(record.samples) == 3


LENGTH = {"finish_reason": "length"}


async def answer_of(
    *messages: AIMessage, wanted: Wanted = ANY, **given: Any
) -> tuple[str, dict[str, Any], list[str], MessageChat]:
    model, warnings = MessageChat(messages=list(messages)), []
    turn = turn_of(parts_of(model))
    text, call = await call_model(
        turn, "integrate", PROMPT, max_tokens=12, wanted=wanted, warnings=warnings, **given
    )
    return text, call, warnings, model


async def test_reasoning_is_in_neither_the_answer_nor_the_record() -> None:
    text, call, warnings, _ = await answer_of(AIMessage("<think>SECRET</think>\n\nA fine view."))
    assert (text, warnings) == ("A fine view.", [])
    assert "SECRET" not in str(call)


@pytest.mark.parametrize(
    "empty",
    [
        AIMessage(""),
        AIMessage("<think>Okay, so the user wants", response_metadata=LENGTH),
        AIMessage("", additional_kwargs={"reasoning_content": "Hm."}, response_metadata=LENGTH),
        AIMessage([{"type": "thinking", "thinking": "Hm."}], response_metadata=LENGTH),
    ],
)
async def test_an_empty_answer_is_asked_for_once_more_with_twice_the_tokens(
    empty: AIMessage,
) -> None:
    text, call, _, model = await answer_of(empty, AIMessage("A fine view."))
    assert text == call["text"] == "A fine view."
    assert [asked.options["max_tokens"] for asked in model.asked] == [12, 24]
    assert call["asked"] == 2
    with pytest.raises(EmptyAnswerError) as raised:
        await answer_of(empty)
    assert (raised.value.code, raised.value.transient) == ("empty_answer", False)
    assert raised.value.call["text"] is None and raised.value.call["asked"] == 2
    Sample.model_validate({"node": "integrate", "iteration": 1, **raised.value.call})


async def test_an_answer_that_was_withheld_is_not_asked_for_again() -> None:
    model = MessageChat(messages=[AIMessage("", response_metadata={"stop_reason": "refusal"})])
    with raises(EmptyAnswerError, "empty_answer", "filter"):
        await call_model(turn_of(parts_of(model)), "integrate", PROMPT, max_tokens=12)
    assert len(model.asked) == 1


async def test_an_empty_sample_is_a_sample() -> None:
    text, call, _, model = await answer_of(AIMessage(""), wanted=Wanted(may_be_empty=True))
    assert text == call["text"] == "" and len(model.asked) == 1


async def test_a_cut_answer_ends_at_a_whole_unit_and_says_so() -> None:
    cut = AIMessage("It is bright. I like how it", response_metadata=LENGTH)
    text, call, warnings, _ = await answer_of(cut, wanted=Wanted("sentence"))
    assert text == "It is bright."
    assert (call["text"], call["finish_reason"]) == ("It is bright. I like how it", "length")
    assert len(warnings) == 1 and "12 tokens" in warnings[0] and "sentence" in warnings[0]
    text, _, warnings, _ = await answer_of(cut, wanted=Wanted("word"))
    assert text == "It is bright. I like how" and "word" in warnings[0]
    text, _, warnings, _ = await answer_of(cut)
    assert (text, warnings) == ("It is bright. I like how it", [])
    none_whole = AIMessage("The lamp is bright and I like how it", response_metadata=LENGTH)
    text, _, warnings, _ = await answer_of(none_whole, wanted=Wanted("sentence"))
    assert text == "The lamp is bright and I like how"
    assert "word" in warnings[0] and "sentence" not in warnings[0]


async def test_tokens_of_both_attempts_count() -> None:
    usage = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    messages = [AIMessage(text, usage_metadata=usage) for text in ("", "A fine view.")]
    _, call, _, _ = await answer_of(*messages)
    assert (call["tokens_in"], call["tokens_out"], call["asked"]) == (14, 10, 2)
    _, call, _, _ = await answer_of(AIMessage("A fine view."))
    assert (call["tokens_in"], call["tokens_out"], call["asked"]) == (None, None, 1)


async def test_what_was_not_sent_is_said() -> None:
    left_out = {"left_out": {"temperature": "the server refuses it"}}
    _, _, warnings, _ = await answer_of(AIMessage("Fine.", response_metadata=left_out))
    assert len(warnings) == 1 and "temperature" in warnings[0]


async def test_thinking_reaches_no_part_of_a_run() -> None:
    """Summaries, draft, rating, events and trace, whole and streamed."""
    think = "<think>\nSECRET: The user 3 wants.\n</think>\n\n"
    says = {
        "style": [AIMessage(f"{think}Curt.")],
        "preference": [AIMessage([{"type": "thinking", "thinking": "SECRET"}, "They like it."])],
        "integrate": [AIMessage(f"{think}Four stars.")],
    }
    trace = MemoryTrace()
    parts = parts_of(MessageChat(messages=says), trace=trace)
    for request in (LONG, {**LONG, "task": "rating", "text": "I love it."}):
        result = await run(parts, request)
        stream = loop_of(parts).astream(
            request, context=RunContext(), stream_mode=list(STREAM_MODES)
        )
        events = [event async for event in read_events(stream)]
        tokens = [each for each in events if isinstance(each, DraftToken)]
        assert "".join(each.text for each in tokens if each.iteration == 1) == "Four stars."
        assert result["summaries"] == {"style": "Curt.", "preference": "They like it."}
        assert result["text"] == ("4" if request is not LONG else "Four stars.")
        assert "SECRET" not in f"{result}{events}"
    assert len(trace.records) == 4
    assert "SECRET" not in "".join(record.model_dump_json() for record in trace.records)


async def test_a_run_of_empty_answers_is_an_error_and_not_an_abstention() -> None:
    trace = MemoryTrace()
    thinks = MessageChat(messages=[AIMessage("<think>Okay,", response_metadata=LENGTH)])
    with pytest.raises(EmptyAnswerError):
        await run(parts_of(thinks, trace=trace))
    (record,) = trace.records
    assert (record.text, record.stop_reason) == (None, None) and record.error is not None


async def test_a_cut_draft_is_told_in_result_and_trace() -> None:
    trace = MemoryTrace()
    cut = AIMessage("It is bright. I like how it", response_metadata=LENGTH)
    parts = parts_of(MessageChat(messages={"integrate": [cut]}), trace=trace)
    result = await run(parts, max_iterations=1)
    assert result["text"] == "It is bright."
    (warning,) = result["warnings"]
    assert "draft" in warning and trace.records[0].warnings == (warning,)
    title = await run(parts, {"user_id": "ana", "task": "short", "text": "Lovely"})
    assert title["text"] == "It is bright. I like how"
