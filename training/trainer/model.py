"""Load a base model with trainable LoRA weights, and save them.

Training continues from the role's parent, loaded as PEFT's `default`; without a parent new weights
are created, which do not change the base model's output, as one of LoRA's two factors starts at
zero. In both cases the policy at step 0 is the reference, and DPO's loss is ln 2.

The base model may be in bf16, but its LoRA weights are trained in fp32: a step of 5e-5 on a weight
of 0.05 is below half of bf16's resolution there and would be lost. They are saved in bf16, as
serving loads them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.device import choose_dtype
from ...models.errors import ModelUnusable
from ...models.local.adapters import fingerprint, lora_config
from ...models.open import told_by_transformers
from ...models.quiet import quiet_loading
from ...stores.files import make_folder

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

POLICY = "default"
"""PEFT's and TRL's name of the trained adapter."""

REFERENCE = "ref"
"""TRL's name of its frozen copy of the parent, which is never saved."""


@dataclass(frozen=True)
class Base:
    """A base model without adapters.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer.
        fingerprint: Identifier of its weights in manifests and episodes.
        name: Display name.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str
    name: str


def open_base(path: str, *, dtype: str, device: str, name: str | None = None) -> Base:
    """Load a base model for training. Blocks for seconds.

    Args:
        path: A folder in transformers' format, or a hub id.
        dtype: "auto", "fp32" or "bf16", as in `models.device.choose_dtype`.
        device: "cpu" or "cuda".
        name: Display name; None: the path.

    Raises:
        ModelNotFound: There is no model under this path.
        ModelUnusable: It is not a causal language model that transformers can load, a file of it
            is damaged, or its tokenizer has no end token.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    local = Path(path).is_dir()
    with quiet_loading(), told_by_transformers(path):
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=choose_dtype(dtype, device), local_files_only=local
        )
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=local)
    end_token(tokenizer, path)
    return Base(model, tokenizer, fingerprint(model), name or path)


def end_token(tokenizer: Any, path: str) -> int:
    """Return the id of the token that ends an answer.

    Args:
        tokenizer: The model's.
        path: The model, as it was named.

    Raises:
        ModelUnusable: The tokenizer has none.
    """
    if tokenizer.eos_token_id is None:
        raise ModelUnusable(
            f"the tokenizer of {path!r} names no end token, which ends each answer: set "
            "`eos_token` in its tokenizer_config.json"
        )
    return int(tokenizer.eos_token_id)


def with_adapter(base: Base, parent: Path | None, *, seed: int) -> PeftModel:
    """Add trainable weights to the base as PEFT's `default`; all other weights are frozen.

    Args:
        base: Base model; its modules are wrapped in place.
        parent: Folder of the adapter to continue from; None: new weights.
        seed: Random seed of new weights.
    """
    import torch
    from peft import PeftModel, get_peft_model

    model: PeftModel
    if parent is None:
        torch.manual_seed(seed)
        model = get_peft_model(base.model, lora_config(base.model.config), adapter_name=POLICY)
    else:
        model = PeftModel.from_pretrained(
            base.model, parent, adapter_name=POLICY, is_trainable=True
        )
    # Otherwise PEFT saves the local path of the base model with the weights.
    model.peft_config[POLICY].base_model_name_or_path = base.name
    return model


def trainable_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of the trainable weights by name, on the CPU.

    If weights are sharded, all processes have to call this together: it gathers them.
    """
    return {
        name: whole(weight.detach()).to("cpu", copy=True)
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def whole(weight: torch.Tensor) -> torch.Tensor:
    """Return a weight unchanged, or gathered from all processes if it is sharded (FSDP)."""
    from torch.distributed.tensor import DTensor

    return weight.full_tensor() if isinstance(weight, DTensor) else weight


def save_adapter(
    model: PeftModel, folder: Path, *, state: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Save only the trained adapter, in bf16; the folder is replaced atomically.

    Args:
        model: Model with the adapter as `default`.
        folder: Folder of PEFT's two files; an existing one is replaced.
        state: All weights by name if they are sharded over processes; None: the model's own.

    Raises:
        OSError: The folder can't be written.
    """
    import torch

    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    halved = {
        name: weight.detach().to("cpu", torch.bfloat16)
        for name, weight in (state or model.state_dict()).items()
        if "lora_" in name
    }
    model.save_pretrained(str(make_folder(partial)), selected_adapters=[POLICY], state_dict=halved)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(partial, folder)
