"""The trained user-topic graph of a store: one artefact with a part per namespace.

    about   {"namespaces": {"default": {"serves": "trained", "why": ..., "gate": {...}, ...}}}
    files   {"default/graphsage.safetensors": ...}

`serves` selects the form that computes embeddings: the trained one only if it measured better on
`gate` (`training/user_topic_graph/train.py`), else the two-hop mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..models.errors import ModelUnusable
from ..stores.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..stores.texts.artefacts import Artefact
    from ..stores.texts.store import TextStore

    Rows = NDArray[np.float32]

GRAPH = "graph"
TRAINED, TWO_HOP = "trained", "two_hop"

NOT_TRAINED = "the store has no trained form: `patlm index --train` trains and measures one"


@dataclass(frozen=True)
class GraphWeights:
    """The user half of a trained `GraphSage` in numpy; implements `stores.texts.topics.GraphForm`.

    h_u = x_u + A x_u, normalised to unit length, with A = up @ down.

    Attributes:
        down: Shape (rank, dimension).
        up: Shape (dimension, rank).
    """

    down: Rows
    up: Rows

    @classmethod
    def of(cls, weights: bytes) -> GraphWeights:
        """Load weights written by `GraphSage.weights`.

        Raises:
            ModelUnusable: The weights are damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            found = load(weights)
            return cls(found["of_user.1.weight"], found["of_user.2.weight"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise ModelUnusable(
                f"the weights of the user-topic graph are damaged ({error}): train it again with "
                "`patlm index --train`",
                code="damaged_artefact",
            ) from error

    def embed(self, hop_sums: Rows) -> Rows:
        """Return unit preference embeddings, shape (users, dimension); zero rows stay zero.

        Args:
            hop_sums: Sums or means of the unit vectors of users' topics, shape (users, dimension).
        """
        import numpy as np

        rows = hop_sums + (hop_sums @ self.down.T) @ self.up.T
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        units: Rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
        return units


def weights_file(namespace: str) -> str:
    """Return the file name of a namespace's weights in the artefact."""
    return f"{namespace}/graphsage.safetensors"


def about_graph(artefact: Artefact | None, namespace: str) -> dict[str, Any]:
    """Return the metadata of a namespace's graph: at least `serves` and `why`.

    Raises:
        StoreError: The artefact is damaged.
    """
    return _namespaces(artefact).get(namespace, {"serves": TWO_HOP, "why": NOT_TRAINED})


def with_graph(
    artefact: Artefact | None, namespace: str, about: Mapping[str, Any], weights: bytes
) -> Artefact:
    """Return the artefact with a namespace's graph added or replaced.

    Raises:
        StoreError: The artefact is damaged.
    """
    from ..stores.texts.artefacts import Artefact

    files = {} if artefact is None else dict(artefact.files)
    return Artefact(
        GRAPH,
        {"namespaces": {**_namespaces(artefact), namespace: dict(about)}},
        {**files, weights_file(namespace): weights},
    )


async def serve_graph(store: TextStore) -> None:
    """Make a store use its trained forms in the namespaces where they measured better.

    Raises:
        StoreError: The artefact is damaged.
        ModelUnusable: The weights are damaged.
    """
    artefact = await store.artefact(GRAPH)
    if artefact is not None:
        store.use_graph(await asyncio.to_thread(_forms, artefact))


def _forms(artefact: Artefact) -> dict[str, GraphWeights]:
    forms = {}
    for namespace, about in _namespaces(artefact).items():
        if about["serves"] == TRAINED:
            name = weights_file(namespace)
            if name not in artefact.files:
                raise _damaged(f"{name} is missing")
            forms[namespace] = GraphWeights.of(artefact.files[name])
    return forms


def _namespaces(artefact: Artefact | None) -> dict[str, dict[str, Any]]:
    if artefact is None:
        return {}
    found = artefact.about.get("namespaces")
    if not isinstance(found, dict) or not all(
        isinstance(each, dict) and each.get("serves") in (TRAINED, TWO_HOP) and "why" in each
        for each in found.values()
    ):
        raise _damaged("`serves` or `why` is missing or invalid")
    return found


def _damaged(what: str) -> StoreError:
    return StoreError(
        f"the user-topic graph of this store is damaged ({what}): train it again with "
        "`patlm index --train`",
        code="damaged_artefact",
    )
