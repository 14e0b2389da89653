"""A process's parts: opened once, in a thread, shared, closed; never by who only compiles."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fakes import ScriptedChat
from loop_parts import LONG, parts_of
from patlm.graph import open as opening
from patlm.graph import runtime as dev
from patlm.graph.runtime import Runtime, get_runtime, make_graph
from patlm.graph.settings import Settings
from patlm.nodes.dependencies import Parts


class Opening:
    """Opens parts slowly; counts, and may fail."""

    def __init__(self, failures: int = 0, seconds: float = 0.1) -> None:
        self.failures, self.seconds = failures, seconds
        self.opened = self.closed = 0
        self.threads: set[int] = set()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Parts]:
        self.opened += 1
        self.threads.add(threading.get_ident())
        await asyncio.sleep(self.seconds)
        if self.opened <= self.failures:
            raise OSError("disk on fire")
        yield parts_of(ScriptedChat())
        self.closed += 1


class AtOnce(threading.Thread):
    """Has ended when it was started, as a thread may have on a busy machine."""

    def start(self) -> None:
        super().start()
        if getattr(self._target, "__func__", None) is Runtime._open:
            self.join()


async def test_an_opening_that_fails_at_once_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Thread", AtOnce)
    opening_ = Opening(failures=1, seconds=0)
    with pytest.raises(OSError) as failed:
        await Runtime(opening_).parts()
    assert str(failed.value) == "disk on fire"


async def test_many_callers_open_once_and_share() -> None:
    opening_ = Opening()
    runtime = Runtime(opening_)
    found = await asyncio.gather(*(runtime.parts() for _ in range(20)))
    assert opening_.opened == 1
    assert len({id(parts) for parts in found}) == 1
    assert await runtime.parts() is found[0]
    assert threading.get_ident() not in opening_.threads, "not in the caller's event loop"
    await asyncio.to_thread(runtime.close)
    assert opening_.closed == 1


async def test_a_caller_that_gives_up_does_not_stop_the_opening() -> None:
    opening_ = Opening(seconds=0.3)
    runtime = Runtime(opening_)
    patient = asyncio.create_task(runtime.parts())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await runtime.parts()
    assert (await patient).store is not None
    assert opening_.opened == 1
    await asyncio.to_thread(runtime.close)


async def test_a_failed_opening_is_told_to_all_and_tried_again() -> None:
    opening_ = Opening(failures=1)
    runtime = Runtime(opening_)
    errors = await asyncio.gather(*(runtime.parts() for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in errors] == ["disk on fire"] * 3
    assert isinstance(await runtime.parts(), Parts)
    assert opening_.opened == 2
    await asyncio.to_thread(runtime.close)


async def test_the_factory_opens_nothing_before_a_node_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opening_ = Opening(seconds=0)
    monkeypatch.setenv("PATLM_STORE", "a-store-of-this-test")
    monkeypatch.setattr(opening, "open_parts", lambda settings: opening_())
    graph = make_graph({"configurable": {}})
    assert make_graph() is graph, "the server calls the factory for every request"
    assert graph.checkpointer is None and graph.store is None
    graph.get_graph()
    assert opening_.opened == 0
    result: dict[str, Any] = await graph.ainvoke(LONG)  # type: ignore[arg-type,assignment]
    assert (result["stop_reason"], opening_.opened) == ("settled", 1)
    await asyncio.to_thread(get_runtime(Settings()).close)
    dev._compiled.cache_clear()


def test_only_small_models_are_kept_from_repeating_short_runs() -> None:
    small, larger = opening.against_repetition(135_000_000), opening.against_repetition(494_000_000)

    assert small == {"no_repeat_ngram_size": 4}
    assert larger == {"repetition_penalty": 1.1, "no_repeat_ngram_size": 8}
