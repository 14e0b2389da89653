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
"""Number of tokens to preallocate at a time."""


class PreallocatedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, each of shape (rows, heads, tokens, head size).

    `keys` and `values` are views of larger tensors with room for the next tokens.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append tokens; return all keys and values."""
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
        """Use these tensors, of which the first `tokens` are filled."""
        self._all_keys, self._all_values = all_keys, all_values
        self.keys, self.values = all_keys[:, :, :tokens], all_values[:, :, :tokens]


class PreallocatedCache(DynamicCache):
    """A preallocated cache for a model that `holds_plain_layers`.

    Attributes:
        preallocated: The layers, with their exact type.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config=config)
        self.preallocated = [PreallocatedLayer() for _ in self.layers]  # type: ignore[no-untyped-call]
        self.layers = list(self.preallocated)


@dataclass(frozen=True)
class CacheRows:
    """The rows of a cache to keep.

    Attributes:
        cache: The cache.
        rows: Indices of the rows.
        begin: First token that is not padding in all of them.
    """

    cache: PreallocatedCache
    rows: Sequence[int]
    begin: int = 0


def holds_plain_layers(config: PreTrainedConfig) -> bool:
    """Return whether a model's cache holds the keys and values of all tokens, and nothing else.

    Sliding windows and recurrent states can't be sliced and padded this way.
    """
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def joined(parts: Sequence[CacheRows], config: PreTrainedConfig) -> PreallocatedCache:
    """Concatenate the rows of several caches, in order, into one.

    Shorter parts are left-padded with zeros; the caller must mask these.
    """
    whole = PreallocatedCache(config)
    for number, layer in enumerate(whole.preallocated):
        layers = [part.cache.preallocated[number] for part in parts]
        layer.lazy_initialization(layers[0].keys, layers[0].values)
        keys = _concatenated(parts, [each.keys for each in layers])
        values = _concatenated(parts, [each.values for each in layers])
        layer.hold(keys, values, keys.shape[2] - ROOM)
    return whole


def _concatenated(parts: Sequence[CacheRows], states: Sequence[torch.Tensor]) -> torch.Tensor:
    pairs = list(zip(parts, states, strict=True))
    tokens = max(state.shape[2] - part.begin for part, state in pairs)
    rows = sum(len(part.rows) for part in parts)
    _, heads, _, size = states[0].shape
    whole = states[0].new_empty(rows, heads, tokens + ROOM, size)
    place = 0
    for part, state in pairs:
        padding = tokens - (state.shape[2] - part.begin)
        for row in part.rows:
            whole[place, :, :padding] = 0
            whole[place, :, padding:tokens] = state[row, :, part.begin :]
            place += 1
    return whole


def _widened(states: torch.Tensor, tokens: int) -> torch.Tensor:
    """Return the states in larger tensors, with room for `tokens` and `ROOM` more."""
    rows, heads, known, size = states.shape
    whole = states.new_empty(rows, heads, tokens + ROOM, size)
    whole[:, :, :known] = states
    return whole
