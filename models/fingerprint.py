"""A short name for a model's weights, so that an adapter can say which base it was made for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VALUES = 64
"""Values of each tensor that are looked at: enough to tell any two trainings apart."""


def fingerprint(model: PreTrainedModel) -> str:
    """Return 16 hex digits of a sha256 over names, shapes and first values of all weights.

    Values count as bf16, so a model is called the same whether it was loaded in fp32 or bf16.

    Args:
        model: Without adapters: they would change the names.
    """
    import torch

    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        first = weight.detach().reshape(-1)[:VALUES].to("cpu", torch.bfloat16)
        digest.update(f"{name} {tuple(weight.shape)} ".encode())
        digest.update(first.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]
