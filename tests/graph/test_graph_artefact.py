"""`patlm index --train` to the alignment of a request: the artefact, and which form serves."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from fakes import TableEncoder
from made_up_people import communities
from patlm.graph import open as opening
from patlm.graph.graph_artefact import GRAPH, weights_file, with_graph
from patlm.models.encoders.graphsage import GraphSage
from patlm.models.errors import ModelUnusable
from patlm.stores import Artefact, Place, StoreError, TextStore, extend_splits, find_splits_file
from patlm.stores.types import Neighbour
from processes import call, output
from raising import raises
from store_fixtures import STYLE, TEXTS, TOPIC, by_preference, cheap_encoders


def fill(uri: str, people: int) -> None:
    texts, vectors = communities(people)
    encoder = TableEncoder({text.body: row for text, row in zip(texts, vectors, strict=True)})
    place = find_splits_file(uri)
    assert place is not None

    async def add() -> None:
        async with TextStore.open(uri, style_encoder=STYLE, topic_encoder=encoder) as store:
            await store.add(texts)

    asyncio.run(add())
    extend_splits(place, "default", map(Place.of, texts))


def test_index_shows_trains_and_stores(tmp_path: Path) -> None:
    uri = str(tmp_path / "store")
    fill(uri, 160)
    assert "no trained form" in output("index", "--store", uri)["why"]
    made = output("index", "--store", uri, "--train", "--epochs", 4)
    assert made["serves"] in ("trained", "two_hop")
    assert made["encoder"] == "table" and made["epochs"] <= 4
    assert set(made["gate"]) >= {"trained", "two_hop", "recall_at_10", "people"}
    kept = output("index", "--store", uri)
    assert {**kept, "seconds": made["seconds"]} == made
    said = call("index", "--store", uri)
    assert f"the {made['serves'].replace('_', '-')} form serves: {made['why']}" in " ".join(
        said.stdout.split()
    )
    # Another tenant has none; nor does training for it touch the first one's.
    assert output("index", "--store", uri, "--namespace", "other")["serves"] == "two_hop"
    found = output("doctor", "--store", uri)["findings"]
    (line,) = [finding for finding in found if finding["name"] == "graph"]
    assert line["ok"] is True and made["why"] in line["says"]


def test_index_names_what_is_missing(tmp_path: Path) -> None:
    for more in ((), ("--train",)):
        result = call("index", "--store", tmp_path / "none", *more)
        assert result.exit_code == 1 and "patlm ingest FILE" in result.stderr
    uri = str(tmp_path / "store")
    fill(uri, 6)
    result = call("index", "--store", uri, "--train")
    assert result.exit_code == 1 and "at least 20 training links" in result.stderr
    assert "no trained form" in output("index", "--store", uri)["why"]


@pytest.fixture
def small_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)


def weights() -> bytes:
    made = GraphSage(TOPIC.dimension, rank=2)
    state = {name: value.clone() for name, value in made.state_dict().items()}
    random = np.random.default_rng(0)
    for name in ("of_user.1.weight", "of_user.2.weight"):
        state[name] = state[name].new_tensor(random.normal(size=tuple(state[name].shape)))
    made.load_state_dict(state)
    return made.weights()


async def near(uri: str) -> tuple[Neighbour, ...]:
    async with opening.open_store(uri) as store:
        return (await by_preference(store, "ann", "calm tea", "tea")).neighbours


@pytest.mark.usefixtures("small_encoders")
async def test_the_trained_form_aligns_where_it_is_said_to_serve(tmp_path: Path) -> None:
    uri = str(tmp_path)
    async with opening.open_store(uri) as store:
        await store.add(TEXTS)
    two_hop = await near(uri)
    kept = {}
    for serves in ("two_hop", "trained"):
        async with opening.open_store(uri) as store:
            about = {"serves": serves, "why": "measured"}
            await store.keep_artefact(with_graph(None, "default", about, weights()))
        kept[serves] = await near(uri)
    assert kept["two_hop"] == two_hop != kept["trained"]
    async with opening.open_store(uri) as store:  # of another tenant
        about = {"serves": "trained", "why": "measured"}
        await store.keep_artefact(with_graph(None, "other", about, weights()))
    assert await near(uri) == two_hop


@pytest.mark.usefixtures("small_encoders")
async def test_a_damaged_artefact_raises(tmp_path: Path) -> None:
    whole = with_graph(None, "default", {"serves": "trained", "why": "measured"}, weights())
    damaged: list[tuple[Artefact, type[Exception]]] = [
        (Artefact(GRAPH, whole.about, {}), StoreError),
        (Artefact(GRAPH, whole.about, {weights_file("default"): b"x"}), ModelUnusable),
        (Artefact(GRAPH, {"namespaces": {"default": {"serves": "none"}}}, {}), StoreError),
        (Artefact(GRAPH, {}, {}), StoreError),
    ]
    for place, (artefact, error) in enumerate(damaged):
        uri = str(tmp_path / str(place))
        async with opening.open_store(uri) as store:
            await store.keep_artefact(artefact)
        with raises(error, "damaged_artefact", "patlm index --train"):
            async with opening.open_store(uri):
                pass
