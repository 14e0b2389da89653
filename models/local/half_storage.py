"""Keep a model's matrices in bf16 and compute in fp32: for CPUs that are slow in bf16.

The weights of most published models are bf16 numbers. In fp32 they take twice the memory and mean
the same, so a matrix is widened block by block while it is multiplied: the answers are those of
fp32, the memory is that of bf16. A block stays in the processor's cache, so the memory is read once
in bf16 instead of once in fp32.
"""

from __future__ import annotations

import torch

BLOCK = 1 << 20
"""Numbers of a matrix that are widened at a time: 4 MB in fp32."""


class HalfStoredLinear(torch.nn.Linear):
    """A linear layer with a bf16 matrix that takes and gives fp32."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the product; shapes as those of `torch.nn.Linear`."""
        rows = input.reshape(-1, self.in_features)
        out = rows.new_empty(len(rows), self.out_features)
        step = max(1, BLOCK // self.in_features)
        for start in range(0, self.out_features, step):
            block = self.weight[start : start + step].float()
            out[:, start : start + step] = rows @ block.T
        if self.bias is not None:
            out += self.bias
        return out.reshape(*input.shape[:-1], self.out_features)


def store_in_half(model: torch.nn.Module) -> None:
    """Let a model that was loaded in bf16 compute in fp32; its matrices stay in bf16.

    Args:
        model: For inference only. Embeddings keep their matrix, too; all other weights become fp32.
    """
    for module in model.modules():
        if type(module) is torch.nn.Linear:
            module.__class__ = HalfStoredLinear
            if module.bias is not None:
                module.bias.data = module.bias.data.float()
        elif type(module) is torch.nn.Embedding:
            module.register_forward_hook(_widened)
        else:
            for weight in module.parameters(recurse=False):
                weight.data = weight.data.float()


def _widened(module: torch.nn.Module, given: object, out: torch.Tensor) -> torch.Tensor:
    return out.float()
