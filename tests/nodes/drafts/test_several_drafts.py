"""Several drafts of an iteration: how they are drawn, counted, recorded and shown."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fakes import Asked, ScriptedChat, fails
from langchain_core.language_models import BaseChatModel
from loop_parts import LONG, ROLES, GivenRetrieval, MemoryTrace, found, loop_of, parts_of, run
from patlm.graph.events import STREAM_MODES, DraftToken, read_events
from patlm.graph.open import chat_role
from patlm.nodes.dependencies import ChatRole, Parts
from patlm.nodes.errors import ModelCallError
from patlm.nodes.state import Result, RunContext
from patlm.stores.episodes.redaction import forget_episodes
from patlm.stores.episodes.shards import EpisodeWriter, read_episodes
from patlm.stores.episodes.stats import faults_of
from patlm.stores.types import Text
from raising import raises
from tiny_models import tiny_chat

GREEDY = {"temperature": 0.0}
DRAFTS = ("Llamas hum.", "The view over the bay.", "A view over the bay!", "Of the bay a view.")
ONCE = {"max_iterations": 1}


def by_place(*says: str) -> Callable[[Asked], str]:
    return lambda asked: says[(asked.number - 1) % len(says)]


def parts_with(
    says: Any = DRAFTS, *, fault: Any = None, options: Any = GREEDY, **given: Any
) -> tuple[ScriptedChat, Parts]:
    said = by_place(*says) if isinstance(says, tuple) else says
    model = ScriptedChat(says={**ScriptedChat().says, "integrate": said}, fault=fault)
    role = ChatRole(model, "model", options=options, takes_seed=True)
    return model, parts_of(
        model, given.pop("store", None), chat=dict.fromkeys(ROLES, role), **given
    )


async def test_the_first_is_greedy_and_the_others_are_drawn_by_seeds() -> None:
    model, parts = parts_with()
    await run(parts, drafts=4, **ONCE)
    asked = [each.options for each in model.asked_of("integrate")]
    assert len(asked) == 4 and len({each.user for each in model.asked_of("integrate")}) == 1
    assert asked[0]["temperature"] == 0 and "seed" not in asked[0]
    assert all(each["temperature"] > 0 and each["top_p"] < 1 for each in asked[1:])
    assert len({each["seed"] for each in asked[1:]}) == 3


async def test_seeds_follow_from_the_seed_of_the_run() -> None:
    async def seeds(**context: Any) -> list[int]:
        model, parts = parts_with(by_place("One.", "Two."))
        await run(parts, **context)
        return [each.options.get("seed") for each in model.asked_of("integrate")]

    first = await seeds(drafts=3, max_iterations=2)
    assert first == await seeds(drafts=3, max_iterations=2)
    assert first[:2] == (await seeds(drafts=2, **ONCE))
    assert len(set(first)) == len(first) - 1  # the first one of each iteration has none
    assert not set(first[1:3]) & set(await seeds(drafts=3, seed=7, **ONCE))


async def test_a_model_that_draws_anyway_draws_all_of_them() -> None:
    model, parts = parts_with(options={})
    await run(parts, drafts=3, **ONCE)
    asked = [each.options for each in model.asked_of("integrate")]
    assert not any("temperature" in each for each in asked)
    assert len({each["seed"] for each in asked}) == 3


async def test_a_model_of_which_nothing_is_known_is_only_asked_again() -> None:
    model = ScriptedChat()
    await run(parts_of(model), drafts=3, **ONCE)
    asked = model.asked_of("integrate")
    assert len(asked) == 3 and all(set(each.options) == {"max_tokens"} for each in asked)


async def test_one_draft_is_asked_for_as_ever() -> None:
    model, parts = parts_with("A fine view.")
    trace = MemoryTrace()
    _, traced = parts_with("A fine view.", trace=trace)
    result = await run(parts, **ONCE)
    await run(traced, **ONCE)
    assert len(model.asked) == result["calls"] == 3
    (iteration,) = trace.records[0].iterations
    assert iteration.drafts == () and len(trace.records[0].samples) == 3


async def test_the_best_one_is_kept_and_all_are_counted_and_recorded() -> None:
    trace = MemoryTrace()
    model, parts = parts_with(trace=trace)
    result = await run(parts, drafts=4, **ONCE)
    assert result["text"] in DRAFTS[1:3] and result["calls"] == len(model.asked) == 6
    single = await run(parts_with(result["text"])[1], **ONCE)
    assert result["tokens_in"] > single["tokens_in"]
    assert result["tokens_out"] > single["tokens_out"] + 6
    (record,) = trace.records
    (iteration,) = record.iterations
    samples = {each.id: each for each in record.samples}
    assert {each.sample for each in iteration.drafts} == {
        "integrate@1", "integrate@1#1", "integrate@1#2", "integrate@1#3"
    }  # fmt: skip
    texts = [samples[each.sample].text for each in iteration.drafts]
    assert texts == list(DRAFTS), "in the order in which they were asked for"
    (kept,) = [each for each in iteration.drafts if each.kept]
    assert kept.sample == "integrate@1" and samples["integrate@1"].text == result["text"]
    assert kept.score == max(each.score for each in iteration.drafts)
    assert list(faults_of(record)) == []


async def test_how_they_were_judged_holds_none_of_their_words() -> None:
    trace = MemoryTrace()
    await run(parts_with(trace=trace)[1], drafts=4, **ONCE)
    (iteration,) = trace.records[0].iterations
    written = json.dumps([each.model_dump() for each in iteration.drafts])
    assert "bay" not in written and "Llamas" not in written


async def test_each_of_them_is_guarded() -> None:
    copied = "the heron on the pier looked at me as if I owed it money"
    texts = found([Text("bo", f"We came late. So {copied}."), Text("cy", "Fine.")])
    store = GivenRetrieval(style=texts, preference=texts)
    # Each one is asked for once more; the answers of the second round are the third and fourth.
    model, parts = parts_with((f"I say {copied}.", f"{copied}! Nice."), store=store, min_authors=1)
    result = await run(parts, drafts=2, **ONCE)
    assert copied not in result["text"] and len(model.asked_of("integrate")) == 4
    assert any("repeats" in warning for warning in result["warnings"])


async def test_one_that_fails_leaves_the_others() -> None:
    trace = MemoryTrace()
    fault = fails(ValueError("no words"), role="integrate", calls=[2])
    model, parts = parts_with(fault=fault, trace=trace)
    result = await run(parts, drafts=4, **ONCE)
    assert result["text"] in DRAFTS and result["calls"] == 6
    assert any("1 of 4 drafts failed" in warning for warning in result["warnings"])
    (iteration,) = trace.records[0].iterations
    assert len(iteration.drafts) == 3
    assert [each.error for each in trace.records[0].samples if each.error] == [
        "ValueError: no words"
    ]


async def test_an_empty_one_is_never_kept() -> None:
    _, parts = parts_with(("", DRAFTS[1], "", ""))
    result = await run(parts, drafts=2, **ONCE)
    assert result["text"] == DRAFTS[1]


async def test_if_all_fail_the_run_fails() -> None:
    _, parts = parts_with(fault=fails(ValueError("no words"), role="integrate"))
    with raises(ModelCallError, "model_failed", "no words"):
        await run(parts, drafts=3, **ONCE)


async def streamed(parts: Parts, **context: Any) -> tuple[list[DraftToken], Result]:
    options = {"context": RunContext(**context), "stream_mode": list(STREAM_MODES)}
    stream = loop_of(parts).astream(LONG, **options)
    events = [event async for event in read_events(stream)]
    assert isinstance(events[-1], Result)
    return [event for event in events if isinstance(event, DraftToken)], events[-1]


async def test_a_stream_shows_the_kept_one_alone() -> None:
    tokens, result = await streamed(parts_with()[1], drafts=4, **ONCE)
    assert [(each.text, each.iteration) for each in tokens] == [(result.text, 1)]
    tokens, _ = await streamed(parts_with()[1], drafts=1, **ONCE)
    assert len(tokens) == len(DRAFTS[0].split())


async def test_in_each_iteration_the_kept_one_is_shown() -> None:
    tokens, _ = await streamed(parts_with(by_place(*DRAFTS, "Else."))[1], drafts=2)
    assert [each.iteration for each in tokens] == [1, 2]


@pytest.mark.parametrize(("task", "says", "kept"), [
    ("rating", ("5", "4", "4"), "4"),
    ("short", ("Llamas", "A grand bay", "The grand bay"), "A grand bay"),
])  # fmt: skip
async def test_titles_and_ratings_are_chosen_too(
    task: str, says: tuple[str, ...], kept: str
) -> None:
    request = {"user_id": "ana", "task": task, "title": "T", "text": "We saw the bay."}
    _, parts = parts_with(says)
    result = await run(parts, request, drafts=3, **ONCE)
    assert result["text"] == kept


async def test_forgetting_reaches_the_drafts_that_were_not_kept(tmp_path: Any) -> None:
    _, parts = parts_with(trace=EpisodeWriter(tmp_path))
    await run(parts, drafts=4, **ONCE)
    (shard,) = tmp_path.glob("traces-*.jsonl")
    assert all(draft.encode() in shard.read_bytes() for draft in DRAFTS)
    assert forget_episodes(tmp_path, "default", "dee") == 1  # who lent a text
    assert not any(draft.encode() in shard.read_bytes() for draft in DRAFTS)
    (emptied,) = read_episodes(tmp_path)
    assert emptied.redacted and not emptied.iterations


async def test_a_local_model_writes_them_in_one_batch_and_the_same_every_time() -> None:
    async def texts(**context: Any) -> tuple[set[int], list[str | None]]:
        reports: list[Any] = []
        chat: BaseChatModel = tiny_chat(window=4096, watches=[reports.append])
        trace = MemoryTrace()
        parts = parts_of(chat, chat=dict.fromkeys(ROLES, chat_role(chat)), trace=trace)
        try:
            await run(parts, drafts=4, max_tokens=12, **ONCE, **context)
        finally:
            chat.close()  # type: ignore[attr-defined]
        samples = {each.id: each for each in trace.records[0].samples}
        order = [each.sample for each in trace.records[0].iterations[0].drafts]
        return {len(each.calls) for each in reports}, [samples[name].text for name in order]

    sizes, first = await texts()
    # On a busy machine the last one may come when the first has been written.
    assert max(sizes) > 1 and len(set(first)) > 1
    assert (await texts())[1] == first
    other = (await texts(seed=1))[1]
    assert other[0] == first[0] and other[1:] != first[1:]
