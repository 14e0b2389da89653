"""The trained user-topic graph as a store keeps it: one artefact, a part for each namespace.

    about   {"namespaces": {"default": {"serves": "trained", "why": ..., "gate": {...}, ...}}}
    files   {"default/graphsage.safetensors": ...}

`serves` says which form makes the embeddings: the trained one only where it was measured to be
better on `gate` (`training/graph_index.py`), else the two-hop mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..stores.errors import StoreError

if TYPE_CHECKING:
    from ..models.encoders.graph_weights import GraphWeights
    from ..stores.texts.artefacts import Artefact
    from ..stores.texts.store import TextStore

GRAPH = "graph"
TRAINED, TWO_HOP = "trained", "two_hop"

NOT_TRAINED = "no trained form is kept: `patlm index --train` makes and measures one"


def weights_file(namespace: str) -> str:
    """Return the name of a namespace's weights in the artefact."""
    return f"{namespace}/graphsage.safetensors"


def about_graph(artefact: Artefact | None, namespace: str) -> dict[str, Any]:
    """Return what is known of a namespace's graph: at least `serves` and `why`.

    Raises:
        StoreError: The artefact is damaged.
    """
    return _parts(artefact).get(namespace, {"serves": TWO_HOP, "why": NOT_TRAINED})


def with_graph(
    artefact: Artefact | None, namespace: str, about: Mapping[str, Any], weights: bytes
) -> Artefact:
    """Return the artefact with one namespace's graph in place of an earlier one.

    Raises:
        StoreError: The artefact is damaged.
    """
    from ..stores.texts.artefacts import Artefact

    files = {} if artefact is None else dict(artefact.files)
    return Artefact(
        GRAPH,
        {"namespaces": {**_parts(artefact), namespace: dict(about)}},
        {**files, weights_file(namespace): weights},
    )


async def serve_graph(store: TextStore) -> None:
    """Let a store serve by the trained forms that it keeps, where they were measured to be better.

    Raises:
        StoreError: The artefact is damaged.
        ModelUnusable: The weights are.
    """
    artefact = await store.artefact(GRAPH)
    if artefact is not None:
        store.use_graph(await asyncio.to_thread(_forms, artefact))


def _forms(artefact: Artefact) -> dict[str, GraphWeights]:
    from ..models.encoders.graph_weights import GraphWeights

    forms = {}
    for namespace, about in _parts(artefact).items():
        if about["serves"] == TRAINED:
            name = weights_file(namespace)
            if name not in artefact.files:
                raise _damaged(f"without {name}")
            forms[namespace] = GraphWeights.of(artefact.files[name])
    return forms


def _parts(artefact: Artefact | None) -> dict[str, dict[str, Any]]:
    if artefact is None:
        return {}
    parts = artefact.about.get("namespaces")
    if not isinstance(parts, dict) or not all(
        isinstance(each, dict) and each.get("serves") in (TRAINED, TWO_HOP) and "why" in each
        for each in parts.values()
    ):
        raise _damaged("without the forms that serve")
    return parts


def _damaged(what: str) -> StoreError:
    return StoreError(
        f"the user-topic graph kept in this store is damaged ({what}): make it again with "
        "`patlm index --train`"
    )
