"""A base model with the LoRA weights that are trained, and how they are saved.

Training continues from the role's parent, loaded as PEFT's `default`; without a parent new weights
are made, whose output is that of the bare base, for one of LoRA's two factors starts at zero.
Either way the policy at step 0 is the reference, and DPO's loss is ln 2.

The base model may be held in bf16, its LoRA weights are fp32 while they learn: a step of 5e-5 on a
weight of 0.05 is below half of bf16's resolution there and would be lost. They are saved in bf16,
as serving loads them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...models.device import choose_dtype
from ...models.errors import ModelNotFound, ModelUnusable
from ...models.local.adapters import fingerprint, lora_config
from ...models.quiet import quiet_loading

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

POLICY = "default"
"""What PEFT and TRL call the adapter that learns."""

REFERENCE = "ref"
"""What TRL calls its frozen copy of the parent; it is never saved."""


@dataclass(frozen=True)
class Base:
    """A base model without adapters.

    Attributes:
        model: Its weights.
        tokenizer: Its tokenizer.
        fingerprint: What its weights are called in manifests and episodes.
        name: What it is called, for people.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str
    name: str


def open_base(path: str, *, dtype: str, device: str, name: str | None = None) -> Base:
    """Load a base model to be trained. Blocks for seconds.

    Args:
        path: A folder as transformers saves it, or a hub id.
        dtype: "auto", "fp32" or "bf16", as `models.device.choose_dtype` takes it.
        device: "cpu" or "cuda".
        name: What it is called; the path where None.

    Raises:
        ModelNotFound: Nothing is there under this path.
        ModelUnusable: What is there is no causal language model that transformers loads.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    local = Path(path).is_dir()
    with quiet_loading():
        try:
            model = AutoModelForCausalLM.from_pretrained(
                path, dtype=choose_dtype(dtype, device), local_files_only=local
            )
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=local)
        except OSError as error:
            raise ModelNotFound(f"no model at {path!r}: {error}") from error
        except (ValueError, KeyError) as error:
            raise ModelUnusable(f"transformers can't load {path!r}: {error}") from error
    return Base(model, tokenizer, fingerprint(model), name or path)


def with_adapter(base: Base, parent: Path | None, *, seed: int) -> PeftModel:
    """Return the base with the weights that are to learn, as PEFT's `default`; all else is frozen.

    Args:
        base: Its modules are wrapped in place.
        parent: Folder of the adapter to continue from; None: new weights.
        seed: Of new weights.
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
    # PEFT would save the local path of the base model with the weights.
    model.peft_config[POLICY].base_model_name_or_path = base.name
    return model


def trainable_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of the weights that learn, by name, on the CPU.

    Where they are sharded all processes have to call this at once: they gather them.
    """
    return {
        name: whole(weight.detach()).to("cpu", copy=True)
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def whole(weight: torch.Tensor) -> torch.Tensor:
    """Return a weight as it is, or gathered from all processes where it is sharded (FSDP)."""
    from torch.distributed.tensor import DTensor

    return weight.full_tensor() if isinstance(weight, DTensor) else weight


def save_adapter(
    model: PeftModel, folder: Path, *, state: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Save the adapter that learns, and it alone, in bf16; the folder appears whole or not at all.

    Args:
        model: With the adapter as `default`.
        folder: Where PEFT's two files go; one of this name is replaced.
        state: All weights by name, where they are sharded over processes; the model's own if None.

    Raises:
        OSError: It cannot be written.
    """
    import torch

    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    halved = {
        name: weight.detach().to("cpu", torch.bfloat16)
        for name, weight in (state or model.state_dict()).items()
        if "lora_" in name
    }
    model.save_pretrained(str(partial), selected_adapters=[POLICY], state_dict=halved)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(partial, folder)
