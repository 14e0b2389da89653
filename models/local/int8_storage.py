"""Keep a model's matrices in int8: for CPUs that are slow in bf16.

Each row of a matrix has a scale of its own (LLM.int8, arXiv 2208.07339, without the columns in
fp16). Writing reads all matrices once a token, which takes the time, so they are small and are
multiplied as integers. What they are multiplied by has 13 bits, in two parts of 7: with 7 bits
alone a model of 1.5B gives another token in one of five places. Where torch has no multiplication
of integers, a matrix is widened to fp32 block by block: the answers are nearly the same, slower.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

BLOCK = 1 << 20
"""Numbers of a matrix that are widened at a time: 4 MB in fp32."""

STEP, LARGEST = 1 / 64, 63 / 64
"""Distance of two of the numbers that the multiplication of integers knows, and the largest; the
smallest is -1."""

REST = 2 * LARGEST / STEP
"""What the rest of a number is multiplied by to reach `LARGEST`."""


class Int8Linear(torch.nn.Linear):
    """A linear layer with a matrix in int8 that takes and gives fp32.

    Attributes:
        weight: The matrix, int8, shape (outputs, inputs); empty where it is packed.
        scale: What each of its rows is multiplied by, fp32, shape (outputs,).
        packed: The matrix as the multiplication of integers wants it; None where torch has none.
    """

    scale: torch.Tensor
    packed: Any
    ends: torch.Tensor

    def pack(self) -> None:
        """Prepare the multiplication of integers, where torch has it for this processor."""
        try:
            make = torch._make_per_channel_quantized_tensor
            pack = torch.ops.quantized.linear_prepack
        except AttributeError:  # torch is about to remove them
            return
        if torch.backends.quantized.engine in ("x86", "fbgemm"):
            zeros = torch.zeros(self.out_features, dtype=torch.long)
            self.packed = pack(make(self.weight.data, self.scale.double(), zeros, 0), None)
            self.weight.data = self.weight.new_empty(0)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the product; shapes as those of `torch.nn.Linear`."""
        rows = input.reshape(-1, self.in_features)
        out = self._product(rows) if self.packed is None else self._product_of_integers(rows)
        if self.bias is not None:
            out += self.bias
        return out.reshape(*input.shape[:-1], self.out_features)

    def _product(self, rows: torch.Tensor) -> torch.Tensor:
        out = rows.new_empty(len(rows), self.out_features)
        step = max(1, BLOCK // self.in_features)
        for start in range(0, self.out_features, step):
            block = self.weight[start : start + step].float()
            out[:, start : start + step] = rows @ block.T
        return out.mul_(self.scale)

    def _product_of_integers(self, rows: torch.Tensor) -> torch.Tensor:
        largest = rows.abs().amax(1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
        largest /= LARGEST
        whole = rows / largest
        first = (whole / STEP).round_().mul_(STEP)
        rest = (whole - first).mul_(REST)
        # Torch spreads its integers between the smallest and the largest number of all rows.
        # `ends` has both, so no row's answer depends on the others.
        both = torch.cat((first, rest, self.ends))
        product: torch.Tensor = torch.ops.quantized.linear_dynamic(both, self.packed, True)
        count = len(rows)
        return (product[:count] + product[count : 2 * count] / REST).mul_(largest)


def store_in_int8(model: torch.nn.Module) -> None:
    """Let a model that was loaded in bf16 take and give fp32, with its matrices in int8.

    Args:
        model: For inference only. Embeddings keep their matrix, all other weights become fp32.
    """
    # Copies first: a mapped file of weights stays in memory until none of them lies in it.
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.weight.data = module.weight.data.clone()
            module.register_forward_hook(_widened)
        elif type(module) is not torch.nn.Linear:
            for weight in module.parameters(recurse=False):
                weight.data = weight.data.float()
    layers = [module for module in model.modules() if type(module) is torch.nn.Linear]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
        list(pool.map(_convert, layers))


@torch.no_grad()
def _convert(layer: torch.nn.Linear) -> None:
    matrix = torch.empty(layer.weight.shape, dtype=torch.int8)
    scale = torch.empty(layer.out_features)
    step = max(1, BLOCK // layer.in_features)
    for start in range(0, layer.out_features, step):
        block = layer.weight[start : start + step].float()
        each = (block.abs().amax(1) / 127).clamp_min(torch.finfo(block.dtype).tiny)
        scale[start : start + step] = each
        matrix[start : start + step] = (block / each[:, None]).round_().to(torch.int8)
    layer.__class__ = Int8Linear
    assert isinstance(layer, Int8Linear)
    layer.weight = torch.nn.Parameter(matrix, requires_grad=False)
    if layer.bias is not None:
        layer.bias.data = layer.bias.data.float()
    layer.scale, layer.packed = scale, None
    layer.ends = torch.zeros(1, layer.in_features)
    layer.ends[0, :2] = torch.tensor([-1.0, LARGEST])
    layer.pack()


def _widened(module: torch.nn.Module, given: object, out: torch.Tensor) -> torch.Tensor:
    return out.float()
