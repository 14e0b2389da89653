"""Stores, adapters, records and reports that come from elsewhere are data, whatever they hold.

The cases are generated: every field of every file and table that is read is replaced by values that
lead out of the folder or to code, and every file and folder by a link. Using what comes of it may
work or fail by an error of ours; it writes nothing outside, opens no socket and loads no code.
"""

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from operator import methodcaller
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pytest
from adapter_fixtures import manifest
from episode_fixtures import FOUR, RUN, collected
from fakes import ScriptedChat
from hostile import (
    OUTSIDE,
    Case,
    Guard,
    file_cases,
    folder_cases,
    hostile_values,
    plant_code,
    rewrite,
    table_cases,
)
from lancedb.embeddings import TextEmbeddingFunction, register
from patlm.evaluation.report.page import write_plots, write_report
from patlm.evaluation.report.records import read_results
from patlm.evaluation.report.trace import render_view
from patlm.graph import Personalizer
from patlm.graph.encoders import artefact_name
from patlm.graph.graph_artefact import with_graph
from patlm.graph.open import look_into_store, open_store
from patlm.models.encoders import open as encoders
from patlm.models.encoders.style import StyleEncoder
from patlm.models.errors import ModelError
from patlm.stores import Artefact
from patlm.stores.adapters.lineage import person_key
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.episodes.feedback import give_feedback
from patlm.stores.episodes.schema import Feedback
from patlm.stores.episodes.shards import EpisodeWriter, read_episodes
from patlm.stores.episodes.stats import check_episodes
from patlm.stores.errors import CodedError, StoreDamaged, StoreError
from patlm.stores.texts.store import TextStore
from patlm.stores.values import RatingScale
from raising import raises
from report_results import several_histories
from safetensors.numpy import save, save_file
from store_fixtures import TEXTS, text, topic_encoder

Use = Callable[[Path], Awaitable[None]]


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    made = Guard()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, style: StyleEncoder) -> None:
    """Beside the data, where the process runs, lies an encoder that nobody names but the data."""
    monkeypatch.setattr(encoders, "open_topic_encoder", lambda name, dtype: topic_encoder())
    style.save(tmp_path / OUTSIDE)
    monkeypatch.chdir(tmp_path / "outside")
    monkeypatch.syspath_prepend(tmp_path / "data")


@pytest.fixture(scope="module")
def style() -> StyleEncoder:
    return StyleEncoder.untrained(["A text.", "Another one!"])


# What is made hostile, and how it is used.


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all tables: texts, a graph, another scale, notes of what was forgotten."""
    path = tmp_path_factory.mktemp("hostile") / "store"
    weights = {
        "of_user.1.weight": np.ones((2, 32), np.float32),
        "of_user.2.weight": np.ones((32, 2), np.float32),
    }
    about = {"serves": "trained", "why": "measured"}

    async def fill() -> None:
        async with open_store(str(path)) as opened:
            await opened.use_rating_scale(RatingScale(0, 10))
            await opened.add(TEXTS)
            await opened.keep_artefact(with_graph(None, "default", about, save(weights)))
            await opened.forget("default", "eve")
            await opened.compact(threshold=0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoders, "open_topic_encoder", lambda name, dtype: topic_encoder())
        asyncio.run(fill())
    return path


@asynccontextmanager
async def ours() -> AsyncIterator[None]:
    """Let errors of ours pass; every other one fails the test."""
    with suppress(CodedError, ModelError):
        yield


async def use_store(folder: Path) -> None:
    async with ours(), look_into_store(str(folder)) as looked:
        await looked.stats()
    async with (
        ours(),
        Personalizer(
            folder, model=ScriptedChat(), trace=folder / "traces", adapters=folder / "a"
        ) as personalizer,
    ):
        async with ours():
            await personalizer.awrite("ann", topic_id="tea", title="Tea", max_iterations=1)
        await personalizer.add("new", "New tea, hot and strong.", topic_id="tea")
        await personalizer.forget("bob")


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with a promoted adapter, its parent, and the people they were trained on."""
    path = tmp_path_factory.mktemp("hostile") / "adapters"
    made = path.with_name("made")
    made.mkdir()
    config = {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"], "auto_mapping": None}
    (made / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": "tiny", "megatron_core": "megatron.core"})
    )
    save_file({"a.lora_A.weight": np.ones((2, 2), np.float32)}, made / "adapter_model.safetensors")
    registry = AdapterRegistry(path)
    people = [person_key("default", "ann")]
    registry.add(made, manifest("style@1", episode_shards=("a.jsonl",)), trained_on=people)
    registry.add(made, manifest("style@2", parent="style@1", metrics={"loss": 1}), trained_on=())
    for name in ("style@1", "style@2"):
        registry.promote(name)
    return path


async def use_adapters(folder: Path) -> None:
    registry = AdapterRegistry(folder)
    made = folder.parent / "made"
    for call in (
        registry.adapters,
        registry.promoted,
        lambda: registry.get("style@1"),
        lambda: registry.get("style@2"),
        lambda: registry.chain("style@2"),
        registry.people,
        lambda: registry.add(made, manifest("style@7")),
        lambda: registry.promote("style@7"),
        lambda: registry.rollback("style"),
        lambda: registry.prune(1),
    ):
        async with ours():
            call()


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a record of collecting and feedback, of the days of `use_episodes`."""
    path = tmp_path_factory.mktemp("hostile") / "episodes"
    EpisodeWriter(path).append(collected(*FOUR))
    give_feedback(path, Feedback(run_id=RUN, edited="Better.", created=DAY))
    return path


DAY = datetime(2025, 3, 1, tzinfo=UTC)


async def use_episodes(folder: Path) -> None:
    async with ours():
        list(check_episodes(folder, on_episode=lambda _: None))
    async with ours():
        render_view(list(read_episodes(folder, report=lambda _: None)))
    async with ours():
        EpisodeWriter(folder).append(collected(*FOUR, run_id="run-2"))
    async with ours():
        give_feedback(folder, Feedback(run_id="run-2", accepted=True, created=DAY))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results, with folders on the way out of it."""
    path = tmp_path_factory.mktemp("hostile") / "report"
    (path / "gains-..").mkdir(parents=True)
    (path / "histories-..").mkdir()
    (path / "results.json").write_text(json.dumps(several_histories()))
    return path


async def use_report(folder: Path) -> None:
    async with ours():
        write_report(folder)
    async with ours():
        write_plots(read_results(folder), folder)


USES: dict[str, Use] = {
    "store": use_store,
    "adapters": use_adapters,
    "episodes": use_episodes,
    "report": use_report,
}


def cases_of(kind: str, folder: Path) -> list[Case]:
    if kind == "store":
        return [*table_cases(folder), *folder_cases(folder), *STORE_CASES]
    return [*file_cases(folder), *folder_cases(folder)]


def name_encoder(store: Path, named: str) -> None:
    """Let the store name its encoder only, as one does that was filled with a published one."""
    (about,) = [
        row for row in lancedb.connect(str(store)).open_table("artefacts").to_arrow().to_pylist()
        if row["name"].startswith(artefact_name(""))
    ]  # fmt: skip

    def put(table: Any) -> Any:
        rows = [row for row in table.to_pylist() if row["name"] != about["name"]]
        bare = {"about": json.dumps({"named": named}), "file_names": [], "file_bytes": []}
        return type(table).from_pylist([*rows, {**about, **bare}], table.schema)

    rewrite(store, "artefacts", put)


def lend_rows(store: Path, _: str) -> None:
    """Let a table have its rows elsewhere, as LanceDB's clones do."""
    moved = store.parent / "outside" / "moved.lance"
    shutil.move(store / "texts.lance", moved)

    async def clone() -> None:
        database = await lancedb.connect_async(str(store))
        await database.clone_table("texts", str(moved))
        database.close()

    asyncio.run(clone())


STORE_CASES = (Case("the encoder's name alone", name_encoder), Case("rows elsewhere", lend_rows))


def clear(folder: Path) -> None:
    """Remove the data, and what a link in it led to."""
    for path in (folder / "data", *(folder / "outside").glob("moved*")):
        path.unlink() if path.is_file() else shutil.rmtree(path)


async def run(kind: str, data: Path, folder: Path, guard: Guard, cases: list[Any]) -> None:
    """Use copies of data, each made hostile in one field."""
    copy = folder / "data"
    if (made := data.with_name("made")).exists():
        shutil.copytree(made, folder / "made", dirs_exist_ok=True)
    shutil.copytree(data, copy)
    await USES[kind](copy)  # libraries make caches of their own when they are first used
    clear(folder)
    impossible = []
    for case, name in cases:
        shutil.copytree(data, copy)
        plant_code(copy)
        value = hostile_values(copy, guard.port)[name]
        try:
            await asyncio.to_thread(case.change, copy, value)
        except (ValueError, RuntimeError):  # what LanceDB does not write it will not read
            impossible.append(case.name)
        else:
            with guard.watching(copy) as found:
                await USES[kind](copy)
            assert not found, (kind, case.name, name, found)
        clear(folder)
    assert len(impossible) <= len(cases) / 10, impossible


@pytest.fixture
def data(kind: str, request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(kind)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(USES))
async def test_every_hostile_field(kind: str, data: Path, tmp_path: Path, guard: Guard) -> None:
    """Each field has one value, drawn; of a report's, which take half a second each, forty."""
    drawn, names = random.Random(1), list(hostile_values(tmp_path, 0))
    cases = cases_of(kind, data)
    assert len(cases) > 20
    some = drawn.sample(cases, 40) if kind == "report" else cases
    await run(kind, data, tmp_path, guard, [(case, drawn.choice(names)) for case in some])


# What each of them is told.


async def test_an_encoder_that_a_store_names_is_not_loaded(store: Path, tmp_path: Path) -> None:
    data = shutil.copytree(store, tmp_path / "data")
    await asyncio.to_thread(name_encoder, data, str(tmp_path / OUTSIDE))
    with raises(StoreError, "encoder_missing", "PATLM_STYLE_ENCODER", "patlm reembed"):
        async with open_store(str(data)):
            pass


async def test_a_store_with_a_way_out_is_not_opened(store: Path, tmp_path: Path) -> None:
    for case in (STORE_CASES[1], *list(folder_cases(store))[:2]):
        data = shutil.copytree(store, tmp_path / "data")
        await asyncio.to_thread(case.change, data, "")
        with raises(StoreDamaged, "store_damaged", data):
            async with TextStore.open_existing(str(data)):
                pass
        clear(tmp_path)


async def test_functions_that_a_table_names_are_not_loaded(store: Path, tmp_path: Path) -> None:
    made = []

    @register("planted-for-a-test")
    class Planted(TextEmbeddingFunction):
        @classmethod
        def create(cls, **given: Any) -> Any:
            made.append(given)
            return super().create(**given)

        def ndims(self) -> int:
            return 32

        def generate_embeddings(self, texts: Any) -> Any:
            return np.zeros((len(texts), 32))

    function = {"name": "planted-for-a-test", "model": {}, "source_column": "body"}
    named = {"embedding_functions": json.dumps([{**function, "vector_column": "topic"}])}
    data = shutil.copytree(store, tmp_path / "data")
    put = methodcaller("replace_schema_metadata", named)
    await asyncio.to_thread(rewrite, data, "texts", put)
    made.clear()
    with raises(StoreError, "other_schema", "texts"):
        async with open_store(str(data)) as opened:
            await opened.add([text("new", "tea", "New tea.")])
    assert made == []


async def test_files_of_artefacts_are_checked_first(store: Path, tmp_path: Path) -> None:
    data = shutil.copytree(store, tmp_path / "data")
    async with TextStore.open_existing(str(data)) as opened:
        await opened.keep_artefact(Artefact("one", {}, {"a": b"whole"}))

    def put(table: Any) -> Any:
        rows = [
            {**row, "file_bytes": [b"other"] * len(row["file_bytes"])} for row in table.to_pylist()
        ]
        return type(table).from_pylist(rows, table.schema)

    await asyncio.to_thread(rewrite, data, "artefacts", put)
    async with TextStore.open_existing(str(data)) as opened:
        with raises(StoreError, "damaged_artefact", "one"):
            await opened.artefact("one")
