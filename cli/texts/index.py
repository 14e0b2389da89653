"""`patlm index`: train the user-topic graph of a store, or say which form of it serves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import JsonOption, NamespaceOption, NeededStoreOption, SeedOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...models.encoders.graphsage import GraphSage
    from ...stores.datasets.splits import Splits
    from ...stores.types import Text, Vectors
    from ...training.user_topic_graph.train import GraphSettings


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("index")(index)


def index(
    store: NeededStoreOption,
    train: Annotated[
        bool, typer.Option("--train", help="Train the user-topic graph and measure it on gate.")
    ] = False,
    namespace: NamespaceOption = "default",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of epochs. Default: 80.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Show which form of the user-topic graph STORE uses and why; with --train, train one."""
    from ..output import emit_json, run, stdout

    began = time.monotonic()
    if train:
        from ...training.user_topic_graph.train import GraphSettings

        given = {} if epochs is None else {"epochs": epochs}
        settings = GraphSettings(seed=seed, **given)
        about = run(lambda: _train(store, namespace, settings))
    else:
        about = run(lambda: _inspect(store, namespace))
    found = {"namespace": namespace, **about}
    if train:
        found["seconds"] = round(time.monotonic() - began, 1)
    if json:
        emit_json(found)
        return
    if "links" in found:
        stdout.print(
            f"trained on {found['links']} links of {found['people']} people on {found['topics']} "
            f"topics, epoch {found['kept']} of {found['epochs']} kept"
        )
    stdout.print(f"the {found['serves'].replace('_', '-')} form serves: {found['why']}")


async def _inspect(uri: str, namespace: str) -> dict[str, Any]:
    from ...graph.graph_artefact import GRAPH, about_graph
    from ...stores.texts.store import TextStore

    async with TextStore.open_existing(uri) as store:
        return about_graph(await store.artefact(GRAPH), namespace)


async def _train(uri: str, namespace: str, settings: GraphSettings) -> dict[str, Any]:
    from ...graph.graph_artefact import GRAPH, with_graph
    from ...stores.texts.store import TextStore

    async with TextStore.open_existing(uri) as store:
        texts, vectors = await store.shared_topic_vectors(namespace)
        model, about = _learn(texts, vectors, _splits(uri, namespace), settings)
        about["encoder"] = (await store.stats()).topic_encoder
        earlier = await store.artefact(GRAPH)
        await store.keep_artefact(with_graph(earlier, namespace, about, model.weights()))
    return about


def _splits(uri: str, namespace: str) -> Splits:
    from ...stores.datasets.splits import Splits, find_splits_file, load_splits

    kept = find_splits_file(uri)
    return Splits() if kept is None else load_splits(kept, namespace)


def _learn(
    texts: Sequence[Text], vectors: Vectors, splits: Splits, settings: GraphSettings
) -> tuple[GraphSage, dict[str, Any]]:
    from ...training.user_topic_graph.train import learn_graph
    from ..model_choice import progress_bar

    with progress_bar() as report:
        report(0.0, f"the graph of {len(texts)} texts")

        def progress(epoch: int, gate: float | None) -> None:
            loss = "" if gate is None else f", gate {gate:.3f}"
            report(epoch / settings.epochs, f"epoch {epoch}{loss}")

        return learn_graph(texts, vectors, splits, settings, progress=progress)
