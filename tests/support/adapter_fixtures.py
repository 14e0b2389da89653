"""LoRA adapters of random weights for the tiny model, saved by PEFT itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from patlm.stores.adapters.manifest import Manifest, parse_name
from patlm.stores.adapters.registry import AdapterRegistry

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
BASE = "0123456789abcdef"


def random_adapter(path: Path, seed: int, **settings: Any) -> Path:
    """Save an adapter of the tiny model, and return its folder.

    Args:
        path: Where it goes.
        seed: Another one gives other weights; the same one the same.
        settings: Of `LoraConfig`, in place of r=4 on all linear modules.
    """
    # Here, so that processes which only name adapters start without torch.
    import torch
    from peft import LoraConfig, get_peft_model
    from tiny_models import tiny_llama, tiny_tokenizer

    base = tiny_llama(len(tiny_tokenizer()))
    config = LoraConfig(
        **{
            "task_type": "CAUSAL_LM",
            "r": 4,
            "target_modules": list(LINEAR),
            "init_lora_weights": False,  # neither of the two factors is zero: it changes answers
            **settings,
        }
    )
    torch.manual_seed(seed)
    get_peft_model(base, config, autocast_adapter_dtype=False).save_pretrained(path)
    return path


def manifest(name: str, **fields: Any) -> Manifest:
    """Return a manifest for an adapter of this name."""
    role, step = parse_name(name)
    return Manifest(**{"role": role, "step": step, "base": BASE, "base_name": "tiny", **fields})


def names(registry: AdapterRegistry) -> list[str]:
    """Return the names of all adapters that a registry lists."""
    return [adapter.name for adapter in registry.adapters()]
