"""A wrong argument of a call of the Personalizer is a RequestError that names it. Nothing is kept.

All fields of all calls are walked, with wrong types and with values that can't be.
"""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fakes import ScriptedChat
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.nodes.errors import RequestError, SettingsError
from patlm.nodes.state import Request, RunContext
from patlm.stores.datasets.validation import TextFields
from raising import raises
from store_fixtures import cheap_encoders

pytestmark = pytest.mark.asyncio(loop_scope="module")

SURROGATE, NUL, LONG = "a\ud800", "a\x00b", "x" * 100_001
UNIT = "a\x1fb"  # what joins ids in keys
NO_STRING = [object(), b"ana", [], ["ana"], {}, {"a": 1}, True, SURROGATE, LONG]
NO_ID = [*NO_STRING, NUL, UNIT, 1.5, math.inf, 1e300]
NO_NUMBER = [object(), b"4", [], {}, True, "many", math.nan, math.inf, -1, "x" * 9_999]
NO_TRUTH = [object(), b"yes", [], {}, "perhaps", 2, math.inf]

TEXT: dict[str, list[object]] = {
    "user_id": [*NO_ID, None, "", " ", math.nan, "null"],
    "body": [*NO_STRING, None, "", "  \n", 7, 1.5, math.nan],
    "topic_id": NO_ID,
    "title": NO_STRING,
    "rating": [object(), b"4", [], {}, True, "good", math.inf, -1, 6, 10**400, LONG],
    "timestamp": [object(), b"4", [], {}, True, "soon", math.inf, 17, "05/01/2024", 10**400],
    "language": [*NO_STRING, "!!", "english please", 5],
    "shared": NO_TRUTH,
    "target": [object(), [], 1, "perhaps"],
    "shared_id": NO_TRUTH,
    "source_id": NO_ID,
}

REQUEST: dict[str, list[object]] = {
    "user_id": TEXT["user_id"],
    "task": [object(), b"long", [], {}, 0, False, 1, True, "poem", LONG],
    "topic_id": NO_ID,
    "title": TEXT["title"],
    "text": [*NO_STRING, 7],
    "instruction": [*NO_STRING, 7],
    "rating": [object(), b"4", [], {}, True, "good", math.inf, -1, 10**400],
    "language": TEXT["language"],
}

CONTEXT: dict[str, list[object]] = {
    "namespace": [*NO_STRING, NUL, UNIT, None, "", 5, "__patlm__"],
    "k": [*NO_NUMBER, 0, 33, 1.5, 10**5_000],
    "min_authors": [*NO_NUMBER, 0, 33, 1.5],
    "mode": [object(), [], {}, 0, True, "loud"],
    "sides": [object(), [], {}, 0, True, "third"],
    "max_tokens": [*NO_NUMBER, 0, 1.5, 10**9],
    "drafts": [*NO_NUMBER, None, 0, 17, 1.5],
    "max_iterations": [*NO_NUMBER, None, 0, 11],
    "deadline_s": [*NO_NUMBER, None, 0],
    "strategies": [object(), [], None, "aligned", {"style": None}, {"style": 5}]
    + [{"style": "nobody"}, {"third": "aligned"}, {5: "aligned"}],
    "adapters": [object(), [], "style@1", {"style": None}, {"third": "x@1"}, {"style": "style@1"}],
    "adapter_fallback": [object(), [], None, "perhaps", 2],
    "seed": [*NO_NUMBER, None, 1.5, 2**63],
}

FEEDBACK: dict[str, list[object]] = {
    "run_id": [*NO_STRING, None, "", " ", 5],
    "add": [object(), [], None, "no", 0, 1],
    "accepted": [object(), [], {}, "perhaps", 2],
    "edited": [*NO_STRING, 7],
    "rating": TEXT["rating"],
}

REMOVAL: dict[str, list[object]] = {
    # A store of an earlier version may hold UNIT in an id: the person can be forgotten.
    "user_id": [*(each for each in NO_ID if each != UNIT), None, "", " "],
    "episodes": [object(), 5, b"x", [5], {"a": 1}, NUL, [None], None, "", [" "]],
    "copies": [object(), 5, [5], NUL, None, "", [""]],  # an empty one is no working folder
    "dry_run": [object(), [], None, "no", 0, 1],
}
TEXT_IDS: list[object] = [object(), 5, b"x", "one", [], [1.5], [None], {"a": 1}, None, [NUL]]
TEXT_IDS += [[SURROGATE], [LONG], [True], [b"x"], [" "], [["x"]]]


def cases(*tables: dict[str, list[object]]) -> list[Any]:
    return [pytest.param(*row, id=row[0]) for table in tables for row in table.items()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Personalizer]:
    """One store for all cases: none of them may change it."""
    folder = tmp_path_factory.mktemp("wrong")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_encoders", cheap_encoders)
        opened = Personalizer(folder / "store", model=ScriptedChat(), trace=folder / "traces")
        async with opened as ready:
            await ready.add("u-ana", "Lovely!! Slept like a log.", topic_id="sea", shared=True)
            yield ready


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run_id(app: Personalizer) -> str:
    return (await app.awrite("u-ana", title="lamp")).run_id


async def kept(app: Personalizer) -> tuple[int, dict[Path, bytes]]:
    """Return how many texts the store holds, and the files of all traces."""
    traces = (app.settings.trace or Path()).rglob("*.jsonl")
    stats = await (await app._store()).stats()
    return stats.texts, {path: path.read_bytes() for path in traces}


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def nothing_is_kept(app: Personalizer, run_id: str) -> AsyncIterator[None]:
    before = await kept(app)
    yield
    assert await kept(app) == before


async def refused(call: Any, field: str) -> str:
    """Return the message of a call that is refused."""
    with pytest.raises(RequestError) as caught:
        await call
    assert caught.value.field.split(".")[0] == field, str(caught.value)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 2_000
    return said


async def test_all_fields_are_here() -> None:
    assert set(TEXT) == set(TextFields.model_fields)
    assert set(REQUEST) == set(Request.model_fields)
    assert set(CONTEXT) == set(RunContext.model_fields)


@pytest.mark.parametrize(("field", "values"), cases(TEXT))
async def test_of_add(
    app: Personalizer, subtests: pytest.Subtests, field: str, values: list[object]
) -> None:
    for number, value in enumerate(values):
        given: dict[str, Any] = {"user_id": "u-fay", "body": "A text.", field: value}
        with subtests.test(number=number, kind=type(value).__name__):
            await refused(app.add_many([{"user_id": "u-fay", "body": "Good."}, given]), field)
            if field not in ("target", "shared_id", "source_id"):
                await refused(app.add(given.pop("user_id"), given.pop("body"), **given), field)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("tittle", "title"),
        ("text", "body"),
        ("user", "user_id"),
        ("namespace", ""),
        ("x" * 999, ""),
    ],
)
async def test_of_an_unknown_field(app: Personalizer, name: str, near: str) -> None:
    text = {"user_id": "u-fay", "body": "A text.", name: "x"}
    said = await refused(app.add_many([text]), name)
    assert f"(near: {near}" in said or not near
    if name not in ("text", "namespace"):
        asked: dict[str, Any] = {"title": "x", name: "x"}
        await refused(app.awrite("u-ana", **asked), name)
        await refused(app.abatch([{"user_id": "u-ana", **asked}]), name)
        await refused(app.feedback("run", **{name: "x"}), name)


async def test_of_lists(app: Personalizer, subtests: pytest.Subtests) -> None:
    values: list[Any] = [None, 5, object(), "texts", b"x", {"body": "x"}, [5], ["x"], [None]]
    for value in [*values, [("ana", "x")], [{1: 2}]]:
        with subtests.test(value=value):
            await refused(app.add_many(value), "texts")
            await refused(app.abatch(value), "requests")


@pytest.mark.parametrize(("field", "values"), cases(REQUEST, CONTEXT))
async def test_of_write(
    app: Personalizer, subtests: pytest.Subtests, field: str, values: list[object]
) -> None:
    async def streamed(given: dict[str, Any]) -> None:
        async for _ in app.astream(**given):
            pass

    for number, value in enumerate(values):
        given: dict[str, Any] = {"user_id": "u-ana", "title": "lamp", field: value}
        if field in ("text", "instruction"):
            del given["title"]
        with subtests.test(number=number, kind=type(value).__name__):
            await refused(app.abatch([{"user_id": "u-ana", "title": "lamp"}, given]), field)
            await refused(streamed(given), field)
            await refused(app.awrite(given.pop("user_id"), **given), field)


@pytest.mark.parametrize("given", [{}, {"title": None}, {"title": math.nan}, {"text": "nan"}])
async def test_of_a_request_without_words(app: Personalizer, given: dict[str, Any]) -> None:
    await refused(app.awrite("u-ana", **given), "title")


@pytest.mark.parametrize(("field", "values"), cases(FEEDBACK))
async def test_of_feedback(
    app: Personalizer, subtests: pytest.Subtests, run_id: str, field: str, values: list[object]
) -> None:
    for number, value in enumerate(values):
        given: dict[str, Any] = {"run_id": run_id, "edited": "Mine.", field: value}
        run = given.pop("run_id")
        with subtests.test(number=number, kind=type(value).__name__):
            await refused(app.feedback(run, **given), field)
            if field != "add":
                await refused(app.feedback(run, add=True, **given), field)


@pytest.mark.parametrize(("field", "values"), cases(REMOVAL))
async def test_of_removals(
    app: Personalizer, subtests: pytest.Subtests, field: str, values: list[object]
) -> None:
    for number, value in enumerate(values):
        given: dict[str, Any] = {"user_id": "u-ana", field: value}
        user = given.pop("user_id")
        with subtests.test(number=number, kind=type(value).__name__):
            await refused(app.forget(user, **given), field)
            await refused(app.remove_texts(user, ["one"], **given), field)
            if field == "user_id":
                await refused(app.texts(user), field)


async def test_of_ids_of_texts(app: Personalizer, subtests: pytest.Subtests) -> None:
    for number, value in enumerate(TEXT_IDS):
        with subtests.test(number=number, kind=type(value).__name__):
            await refused(app.remove_texts("u-ana", value), "text_ids")  # type: ignore[arg-type]


@pytest.mark.parametrize("namespace", CONTEXT["namespace"], ids=lambda value: type(value).__name__)
async def test_of_a_personalizer(namespace: Any) -> None:
    with raises(SettingsError, "invalid_settings", "namespace"):
        Personalizer("store", model=ScriptedChat(), namespace=namespace)


async def test_a_message_says_each_thing_once(app: Personalizer) -> None:
    said = await refused(app.awrite("u-ana", title="x", language="!!"), "language")
    assert said == "language: '!!' is no tag: expected one as en, pt-BR or zh-Hans"
    said = await refused(app.awrite("u-ana", title="x", namespace=""), "namespace")
    assert said.startswith("namespace: expected the name of a namespace, got ''")
    said = await refused(app.awrite("u-ana", title="x", k=10**5_000), "k")
    assert len(said) < 500
