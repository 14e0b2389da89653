"""A trained user-topic graph as a store serves by it: the user's side, in numpy.

h_u = x_u + A x_u at unit length (see `graphsage`, where it is trained). The rest of the model says
which topic a person writes on next, and is kept with it for benches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from ..errors import ModelUnusable

WEIGHTS_FILE = "graphsage.safetensors"

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class GraphWeights:
    """A in two factors; a `stores.graph_form.GraphForm`.

    Attributes:
        down: Shape (rank, dimension).
        up: Shape (dimension, rank).
    """

    down: Rows
    up: Rows

    @classmethod
    def of(cls, weights: bytes) -> GraphWeights:
        """Read what `GraphSage.weights` wrote.

        Raises:
            ModelUnusable: It is damaged.
        """
        try:
            found = load(weights)
            return cls(found["of_user.1.weight"], found["of_user.2.weight"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise ModelUnusable(
                f"the weights of the user-topic graph are damaged ({error}): train it again with "
                "`patlm index --train`"
            ) from error

    def embed(self, hop_sums: Rows) -> Rows:
        """Return preference embeddings, unit rows, shape (users, dimension); zeros stay zeros.

        Args:
            hop_sums: Sums or means of the unit vectors of users' topics, shape (users, dimension).
        """
        rows = hop_sums + (hop_sums @ self.down.T) @ self.up.T
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        units: Rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
        return units
