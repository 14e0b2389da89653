"""What is tried again, what is not, and how a run ends that can't go on."""

from typing import Any

import pytest
from fakes import ScriptedChat, fails
from loop_parts import GivenRetrieval, MemoryTrace, parts_of, run
from patlm.models.errors import CallRefused, GenerationFailed
from patlm.nodes.errors import ModelCallError, RunFailedError
from patlm.stores.errors import StoreError
from raising import raises
from store_fixtures import topic_encoder

CHANGING = {
    "style": ["Short words.", "Long, winding sentences!"],
    "preference": ["They like the view.", "Breakfast is cold."],
    "integrate": ["A fine view.", "Cold eggs again."],
}


@pytest.mark.parametrize("error", [RuntimeError("hiccup"), GenerationFailed("batch broke")])
@pytest.mark.parametrize("role", ["style", "preference", "integrate"])
async def test_a_model_that_fails_once_is_asked_again(role: str, error: Exception) -> None:
    model = ScriptedChat(fault=fails(error, role=role, calls=[1]))
    result = await run(parts_of(model), max_iterations=1)
    assert (result["stop_reason"], result["warnings"]) == ("max_iterations", [])
    assert len(model.asked_of(role)) == 2
    assert len(model.asked) == 4, "the others are not asked again"


async def test_a_model_that_always_fails_ends_in_one_clear_error() -> None:
    trace, model = MemoryTrace(), ScriptedChat(fault=fails(RuntimeError("no power")))
    with raises(ModelCallError, "model_failed", "-model", "no power"):
        await run(parts_of(model, trace=trace))
    assert len(model.asked_of("style")) == 3
    (record,) = trace.records
    assert record.stop_reason is None and "no power" in str(record.error)
    assert set(record.iterations[0].evidence) == {"style", "preference"}


@pytest.mark.parametrize("error", [ValueError("too long"), CallRefused("too long")])
async def test_a_model_that_refuses_is_not_asked_again(error: Exception) -> None:
    model = ScriptedChat(fault=fails(error, role="integrate"))
    with raises(ModelCallError, "model_failed", "integrate", "too long") as raised:
        await run(parts_of(model))
    assert not raised.value.transient
    assert len(model.asked_of("integrate")) == 1


@pytest.mark.parametrize("role", ["style", "preference", "integrate"])
@pytest.mark.parametrize("error", [RuntimeError("no power"), TimeoutError("too slow")])
async def test_after_a_draft_a_failure_gives_that_draft_back(role: str, error: Exception) -> None:
    trace = MemoryTrace()
    model = ScriptedChat(says=CHANGING, fault=fails(error, role=role, calls=[2, 3, 4]))
    result = await run(parts_of(model, trace=trace))
    assert (result["stop_reason"], result["text"]) == ("error", "A fine view.")
    assert result["summaries"] == {"style": "Short words.", "preference": "They like the view."}
    assert str(error) in result["warnings"][0]
    assert [record.stop_reason for record in trace.records] == ["error"]
    assert trace.records[0].text == "A fine view."


@pytest.mark.parametrize("search", ["history", "preference"])
async def test_a_search_that_fails_in_the_second_iteration_gives_the_draft_back(
    search: str,
) -> None:
    store, trace, model = GivenRetrieval(), MemoryTrace(), ScriptedChat(says=CHANGING)
    # Both sides read the history in the first iteration, the preference side in the second.
    store.faults = {("history", 3): StoreError("gone"), ("preference", 2): StoreError("gone")}
    store.faults = {key: error for key, error in store.faults.items() if key[0] == search}
    result = await run(parts_of(model, store, trace=trace))
    assert (result["stop_reason"], result["text"]) == ("error", "A fine view.")
    assert result["warnings"] == ["gone"]
    assert result["timings"]["total"] > 0 and result["models"]
    assert len(model.asked_of("style")) == 1, "the other side's model is not asked for nothing"
    assert len(trace.records) == 1


@pytest.mark.parametrize("both", [True, False])
async def test_a_search_that_fails_at_once_is_a_clear_error(both: bool) -> None:
    store, trace = GivenRetrieval(), MemoryTrace()
    search = "history" if both else "style"
    store.faults = {(search, number): StoreError("no such table") for number in (1, 2)}
    with raises(RunFailedError, "run_failed", "no such table"):
        await run(parts_of(ScriptedChat(), store, trace=trace))
    (record,) = trace.records
    assert record.request["user_id"] == "ana" and "no such table" in str(record.error)


@pytest.mark.parametrize("breaks_at", [1, 2])
async def test_a_draft_survives_a_check_that_fails(breaks_at: int) -> None:
    whole = topic_encoder()

    class Breaks:
        version, dimension, drafts = whole.version, whole.dimension, 0

        def encode(self, texts: Any) -> Any:
            # check-stop alone encodes a draft beside other texts.
            self.drafts += len(texts) > 1 and texts[0] in CHANGING["integrate"]
            if self.drafts >= breaks_at:
                raise RuntimeError("encoder broke")
            return whole.encode(texts)

    trace = MemoryTrace()
    parts = parts_of(ScriptedChat(says=CHANGING), topic_encoder=Breaks(), trace=trace)
    result = await run(parts)
    assert (result["stop_reason"], result["text"]) == ("error", "A fine view.")
    assert "encoder broke" in result["warnings"][0]
    assert len(trace.records) == 1
