"""GraphSAGE with mean aggregators on the user-topic graph: what people care about.

Hamilton, Ying and Leskovec 2017, one round on each side, as a residual on the training-free two-hop
mean:

    user   h_u = x_u + A x_u                   x_u = mean of x_t over the user's topics
    topic  h_t = x_t + λ m_t + B [x_t ; m_t]   x_t = mean of the vectors of the texts on it,
                                               m_t = mean over its users of their other topics

both at unit length. A link's score is τ h_u·h_t + c log(1 + users of t): c learns popularity, which
explains many links, so that A and B need not. The alignment of two users is the cosine of their
h_u, without popularity. A and B are of low rank; they, λ and c start at zero, where the scores are
those of the two-hop mean. It is inductive: no weight belongs to one user or one topic, so a new one
gets an embedding without a rebuild.

This module needs torch, for training; a store serves the user's side in numpy
(`graph.graph_artefact.GraphWeights`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch.nn.functional import normalize

TEMPERATURE = 10.0
"""Start of τ: sharp enough for a softmax over hundreds of cosines."""


@dataclass(frozen=True)
class TopicSide:
    """What is known of some topics.

    Attributes:
        own: x_t, unit rows, shape (topics, dimension); zeros where nobody wrote on it.
        users: m_t, shape (topics, dimension); zeros where nothing is known.
        degree: Users of each, shape (topics,).
    """

    own: torch.Tensor
    users: torch.Tensor
    degree: torch.Tensor

    def part(self, places: torch.Tensor) -> TopicSide:
        """Return some of the topics."""
        return TopicSide(self.own[places], self.users[places], self.degree[places])


class GraphSage(torch.nn.Module):
    """Link prediction between users and topics.

    Args:
        dimension: Of the topic encoder.
        rank: Of A and B.
        dropout: Share of the input of A and B that is dropped in a training step.
    """

    def __init__(self, dimension: int, *, rank: int = 16, dropout: float = 0.5) -> None:
        super().__init__()
        self.of_user = _low_rank(dimension, rank, dimension, dropout)
        self.of_topic = _low_rank(2 * dimension, rank, dimension, dropout)
        self.reach = torch.nn.Parameter(torch.zeros(()))
        self.popularity = torch.nn.Parameter(torch.zeros(()))
        self.temperature = torch.nn.Parameter(torch.tensor(TEMPERATURE))

    def users(self, means: torch.Tensor) -> torch.Tensor:
        """Return unit rows h_u of means x_u of any length, shape (users, dimension)."""
        return normalize(means + self.of_user(means), dim=1)

    def topics(self, side: TopicSide) -> torch.Tensor:
        """Return unit rows h_t, shape (topics, dimension)."""
        both = torch.cat([side.own, side.users], dim=1)
        return normalize(side.own + self.reach * side.users + self.of_topic(both), dim=1)

    def bias(self, side: TopicSide) -> torch.Tensor:
        """Return what popularity adds to a topic's score, shape (topics,)."""
        return self.popularity * torch.log1p(side.degree)

    def weights(self) -> bytes:
        """Return the weights as safetensors."""
        return save({name: value.contiguous() for name, value in self.state_dict().items()})


def _low_rank(inputs: int, rank: int, outputs: int, dropout: float) -> torch.nn.Sequential:
    down = torch.nn.Linear(inputs, rank, bias=False)
    up = torch.nn.Linear(rank, outputs, bias=False)
    torch.nn.init.zeros_(up.weight)
    return torch.nn.Sequential(torch.nn.Dropout(dropout), down, up)
