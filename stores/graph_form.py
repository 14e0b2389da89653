"""How a user's preference embedding is made of the topics that the user wrote on.

The training-free form is the two-hop mean. A trained one (`models/graph_weights.py`) is handed to
the store by whoever opens it; this room knows of it only what stands here.
"""

from __future__ import annotations

from typing import Protocol

from .records import Vectors
from .sums import unit


class GraphForm(Protocol):
    """Turns what users' topics add up to into embeddings whose cosines say who is aligned."""

    def embed(self, hop_sums: Vectors) -> Vectors:
        """Return the preference embeddings of users.

        Args:
            hop_sums: For each user the sum (or mean: the length tells nothing) of the topics'
                unit vectors, shape (users, topic dimension); zeros where nothing is known.

        Returns:
            Unit rows, shape (users, embedding dimension); zeros where nothing is known.
        """


class TwoHop:
    """The training-free form: a GraphSAGE mean aggregator without weights."""

    def embed(self, hop_sums: Vectors) -> Vectors:
        """Return the sums at unit length, same shape."""
        return unit(hop_sums)


TWO_HOP = TwoHop()
