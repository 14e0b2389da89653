"""The key-value cache of a batch: preallocated, with rows that join and leave.

transformers' `DynamicCache` copies all keys and values at every token (17% of a step of 16 rows on
a CPU, 38% of a step of 31 longer rows) and keeps all rows to the end. This cache reserves room for
more tokens ahead of time, and rows can be added and removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

ROOM = 64
"""Tokens for which room is made at a time."""


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, each (rows, heads, tokens, size of a head).

    `keys` and `values` are views of larger tensors, which the next tokens are written into.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in further tokens; return all keys and all values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.hold(key_states[:, :, :0], value_states[:, :, :0], 0)
        begin = self.keys.shape[2]
        end = begin + key_states.shape[2]
        if end > self._all_keys.shape[2]:
            self.hold(_widened(self.keys, end), _widened(self.values, end), begin)
        self._all_keys[:, :, begin:end] = key_states
        self._all_values[:, :, begin:end] = value_states
        self.hold(self._all_keys, self._all_values, end)
        return self.keys, self.values

    def hold(self, all_keys: torch.Tensor, all_values: torch.Tensor, tokens: int) -> None:
        """Use these tensors, whose first tokens are known and whose others are room."""
        self._all_keys, self._all_values = all_keys, all_values
        self.keys, self.values = all_keys[:, :, :tokens], all_values[:, :, :tokens]


class RoomyCache(DynamicCache):
    """What a model remembers, for one that `holds_plain_layers`.

    Attributes:
        roomy: The layers, as what they are.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config=config)
        self.roomy = [RoomyLayer() for _ in self.layers]  # type: ignore[no-untyped-call]
        self.layers = list(self.roomy)


@dataclass(frozen=True)
class Piece:
    """Rows of a cache that go on.

    Attributes:
        cache: Where they are.
        rows: Their places in it.
        begin: The first token that one of them needs; what is before it is padding.
    """

    cache: RoomyCache
    rows: Sequence[int]
    begin: int = 0


def holds_plain_layers(config: PreTrainedConfig) -> bool:
    """Return whether a model keeps the keys and values of all tokens, and nothing else.

    Sliding windows and recurrent states are kept in other ways, and can't be cut and padded so.
    """
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def joined(pieces: Sequence[Piece], config: PreTrainedConfig) -> RoomyCache:
    """Return one cache of all rows, those of one piece below those of the piece before.

    Shorter pieces are padded with zeros from the left, which are to be masked.
    """
    whole = RoomyCache(config)
    for number, layer in enumerate(whole.roomy):
        layers = [piece.cache.roomy[number] for piece in pieces]
        layer.lazy_initialization(layers[0].keys, layers[0].values)
        keys = _below_each_other(pieces, [each.keys for each in layers])
        values = _below_each_other(pieces, [each.values for each in layers])
        layer.hold(keys, values, keys.shape[2] - ROOM)
    return whole


def _below_each_other(pieces: Sequence[Piece], states: Sequence[torch.Tensor]) -> torch.Tensor:
    pairs = list(zip(pieces, states, strict=True))
    tokens = max(state.shape[2] - piece.begin for piece, state in pairs)
    rows = sum(len(piece.rows) for piece in pieces)
    _, heads, _, size = states[0].shape
    whole = states[0].new_empty(rows, heads, tokens + ROOM, size)
    place = 0
    for piece, state in pairs:
        padding = tokens - (state.shape[2] - piece.begin)
        for row in piece.rows:
            whole[place, :, :padding] = 0
            whole[place, :, padding:tokens] = state[row, :, piece.begin :]
            place += 1
    return whole


def _widened(states: torch.Tensor, tokens: int) -> torch.Tensor:
    """Return these states with room up to so many tokens, and some more."""
    rows, heads, known, size = states.shape
    whole = states.new_empty(rows, heads, tokens + ROOM, size)
    whole[:, :, :known] = states
    return whole
