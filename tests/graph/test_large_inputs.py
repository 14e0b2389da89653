"""Large inputs: refused by name or kept whole, cut in time that goes by the room, slow for no one.

The limits that a request and a text have are walked in one table; the rest is measured with texts
as long as they may be, one of each kind that is slow to cut or to match.
"""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fakes import ScriptedChat
from large_inputs import (
    KINDS,
    Bounded,
    crowded,
    ended_in_time,
    large_request,
    largest,
    longest_pause,
    timed,
)
from loop_parts import loop_of
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.models.encoders.style_features import count_style
from patlm.nodes.budget import BUDGETS, Budget, cut, fit
from patlm.nodes.dependencies import Parts
from patlm.nodes.errors import DeadlineError, LoopError, RequestError
from patlm.nodes.prompts.build import STYLE, integrate_prompt, reasoner_prompt
from patlm.nodes.prompts.facts import lacking_points, lacking_traits, measured_traits
from patlm.nodes.state import Evidence, Request, RunContext
from patlm.stores import Text, TextStore
from patlm.stores.texts.connection import connected
from patlm.stores.values import MAX_CHARACTERS, MAX_ID_CHARACTERS
from raising import raises
from store_fixtures import cheap_encoders, style_encoder, topic_encoder

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = {"max_title": 50, "max_text": 400, "max_batch": 3, "max_added": 4, "max_waiting": 2}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Personalizer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_encoders", cheap_encoders)
        folder = tmp_path_factory.mktemp("limits")
        async with Personalizer(folder / "s", model=ScriptedChat(slow_s=0.05), **LIMITS) as ready:
            yield ready


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parts(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    folder = tmp_path_factory.mktemp("crowded") / "store"
    async with crowded(folder, ScriptedChat(slow_s=0.02)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("title", LIMITS["max_title"]),
        ("text", LIMITS["max_text"]),
        ("instruction", LIMITS["max_text"]),
        ("user_id", MAX_ID_CHARACTERS),
        ("topic_id", MAX_ID_CHARACTERS),
    ],
)
async def test_a_request_is_taken_whole_or_refused_by_name(
    app: Personalizer, field: str, most: int
) -> None:
    for size in (most + 1, 10_000_000):
        given = {"user_id": "ana", "title": "Sea", field: "x" * size}
        for call in (
            app.awrite(**given),
            app.abatch([{"user_id": "ana", "title": "Sea"}, given]),
            app.graph.ainvoke({**given, "task": "long"}, context=RunContext()),
        ):
            with pytest.raises(RequestError) as refused:
                await call
            assert refused.value.field == field
    asked = app._models["integrate"].asked  # type: ignore[attr-defined]
    del asked[:]
    await app.awrite(**{"user_id": "ana", "title": "Sea", field: "x" * most})
    assert asked and (field.endswith("_id") or "x" * most in asked[-1].user)


async def test_a_text_is_kept_whole_or_refused_by_name(app: Personalizer) -> None:
    for field, most in (("body", MAX_CHARACTERS), ("title", MAX_CHARACTERS), ("topic_id", 1_000)):
        given = {"user_id": f"of {field}", "body": "A text.", field: "x" * most}
        assert (await app.add_many([given])).added == 1
        (kept,) = await app.texts(given["user_id"])
        assert getattr(kept, field) == "x" * most
        with pytest.raises(RequestError) as refused:
            await app.add_many([{**given, field: "x" * (most + 1)}])
        assert refused.value.field == field


async def test_a_batch_has_a_limit(app: Personalizer) -> None:
    asked = {"user_id": "ana", "title": "Sea"}
    endless = ({**asked, "body": f"text {number}"} for number in iter(int, 1))
    with raises(RequestError, "invalid_request", "max_added", "4"):
        await app.add_many(endless)
    with raises(RequestError, "invalid_request", "max_batch", "3"):
        await app.abatch(asked for _ in iter(int, 1))
    assert await app.texts("ana") == []


async def test_more_requests_at_once_than_may_be_are_refused(app: Personalizer) -> None:
    runs = [app.awrite("ana", title="Sea") for _ in range(5)]
    ended = await asyncio.gather(*runs, return_exceptions=True)
    refused = [each for each in ended if isinstance(each, LoopError)]
    assert [each.code for each in refused] == ["too_many_requests"] * 3
    assert (await app.awrite("ana", title="Sea")).text, "places are given back"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1_000_000, 10_000_000])
async def test_what_is_counted_goes_by_the_room_not_by_the_text(kind: str, size: int) -> None:
    text, counted = KINDS[kind](size), 0

    def count(part: str) -> int:
        nonlocal counted
        counted += len(part)
        return -(-len(part) // 4)

    room = 500
    cut_text = cut(text, room, count)
    assert text.startswith(cut_text) and len(cut_text) <= 4 * room
    fitted = fit([text, text], room, 16, count)
    assert fitted.tokens == pytest.approx(len(text) / 2, rel=0.01) and fitted.cut_share > 0.9
    assert counted < 300 * room


@pytest.mark.parametrize("kind", KINDS)
async def test_prompts_of_the_largest_texts_are_built_at_once(kind: str) -> None:
    """Each took minutes where a pattern began anew at each place of a long run."""
    request = Request(**large_request(kind))
    pieces = [
        Evidence(text_id="", user_id="b", topic_id="", title="", body=largest(kind), score=1,
                 strategy="", reason="")
    ]  # fmt: skip
    # Of this process: on a loaded machine all takes long by the clock.
    bodies, began = [largest(kind)], time.process_time()
    for budget in (Budget(), BUDGETS["large"]):
        common: Any = {"budget": budget, "count": lambda text: -(-len(text) // 4)}
        prompt = reasoner_prompt(STYLE, request, pieces, own=pieces, draft=bodies[0], **common)
        drafting = integrate_prompt(request, {"Style": bodies[0]}, own=pieces, **common)
        assert max(len(prompt.user), len(drafting.user)) < 8 * budget.later
    assert measured_traits(bodies, own=True, english=True) is not None
    assert lacking_traits(bodies[0], bodies, english=True) is not None
    assert kind == "dots" or lacking_points("a draft", bodies[0]) is not None
    assert count_style(bodies[0]).shares.shape
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("kind", ["prose", "no spaces", "accents"])
async def test_the_largest_request_does_not_hold_the_event_loop(parts: Parts, kind: str) -> None:
    pause = await longest_pause(timed(parts, large_request(kind), k=32, mode="own_quoted"))
    assert pause < 0.1


@pytest.mark.parametrize("slow", ["store", "encoder", "count", "model"])
async def test_the_deadline_is_kept_whatever_is_slow(parts: Parts, slow: str) -> None:
    for deadline_s in (0.3, 0.6, 1.2, 2.4, 4.8, 9.6):
        if (await deadline_kept(parts, slow, "prose", deadline_s))[0]:
            return
    pytest.fail(f"no run came as far as {slow}")


async def deadline_kept(
    parts: Parts, slow: str, kind: str, deadline_s: float
) -> tuple[bool, float]:
    """Run beside something that takes far longer than the deadline.

    Returns:
        Whether the run came as far as that, and by how many seconds it ended too late.
    """
    wait = Waiting()
    loop = loop_of(slowed(parts, slow, wait))
    request, context = large_request(kind), RunContext(deadline_s=deadline_s, k=32)
    began = time.perf_counter()
    try:
        result = await ended_in_time(loop.ainvoke(request, context=context), deadline_s)
        assert result["stop_reason"] in ("deadline", "max_iterations", "settled", "abstained")
    except DeadlineError:
        pass
    finally:
        wait.ended.set()  # threads can't be cancelled
    assert not wait.in_vain
    return wait.reached, time.perf_counter() - began - deadline_s


class Waiting:
    """Takes far longer than any deadline, unless it is ended.

    Attributes:
        reached: Whether anything waited.
        in_vain: Whether anything waited to the end.
    """

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.reached = self.in_vain = False

    def here(self) -> None:
        """Hold this thread."""
        self.reached = True
        if not self.ended.wait(20):
            self.in_vain = True
            self.ended.set()

    async def beside(self) -> None:
        """Hold this task."""
        self.reached = True
        await asyncio.sleep(20)


def slowed(parts: Parts, what: str, wait: Waiting) -> Parts:
    """Return parts of which one takes far longer than any deadline."""

    class SlowStore:
        def __getattr__(self, name: str) -> Any:
            async def search(*given: Any, **more: Any) -> Any:
                await wait.beside()

            return search

    class SlowChat(ScriptedChat):
        async def _agenerate(self, *given: Any, **more: Any) -> Any:
            await wait.beside()

    def count(text: str) -> int:
        wait.here()
        return parts.count(text)

    model: Any = SlowChat()
    changed: dict[str, Any] = {
        "store": {"store": SlowStore()},
        "encoder": {"topic_encoder": Bounded(topic_encoder(), wait.here)},
        "count": {"count": count},
        "model": {"chat": {name: _with_model(role, model) for name, role in parts.chat.items()}},
        "": {},
    }[what]
    return Parts(**{**vars(parts), **changed})


def _with_model(role: Any, model: Any) -> Any:
    return type(role)(**{**vars(role), "model": model})


@pytest.mark.slow
async def test_memory_is_flat_over_writes(tmp_path: Path) -> None:
    """What LanceDB keeps is bounded: with small bounds, 200 more texts cost next to nothing."""
    async with connected(str(tmp_path / "store"), (8_000_000, 4_000_000)) as connection:
        store = TextStore(connection, style_encoder=style_encoder(), topic_encoder=topic_encoder())
        await store.setup()
        sizes = []
        for number in range(500):
            await store.add([Text(f"u{number % 50}", f"text {number}", topic_id="t", title="x")])
            if number in (299, 499):
                sizes.append(resident_mb())
    assert sizes[1] - sizes[0] < 15, "a quarter of a megabyte each without the bounds: 50"


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.slow
async def test_200_deadlines_of_200_are_kept(parts: Parts) -> None:
    draw, kinds, late = random.Random(25), list(KINDS), []
    for number in range(200):
        slow = ("", "store", "encoder", "count", "model")[number % 5]
        kind = kinds[number % len(kinds)]
        late.append((await deadline_kept(parts, slow, kind, draw.uniform(0.05, 0.6)))[1])
    assert sum(each < 0.5 for each in late) >= 180, sorted(late)[-20:]
