"""LoRA adapters of random weights, and what processes do to a registry; starts without torch."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any, Literal

from patlm.stores.adapters import registry as module
from patlm.stores.adapters.manifest import Manifest, parse_name
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.errors import AdapterExists

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


def promote_in_turn(root: Path, role: str, times: int) -> None:
    """Promote the first two adapters of a role, one after the other, again and again."""
    registry = AdapterRegistry(root)
    for turn in range(times):
        registry.promote(f"{role}@{1 + turn % 2}")


def add_as_next(root: Path, folder: Path, times: int) -> None:
    """Add an adapter under the next free name, whoever else takes names meanwhile."""
    registry = AdapterRegistry(root)
    for _ in range(times):
        while True:
            try:
                registry.add(folder, manifest(f"style@{registry.next_step('style')}"))
                break
            except AdapterExists:
                continue


def add_and_die(root: Path, folder: Path) -> None:
    """Be killed in the middle of adding `style@1`."""
    module.os.rename = _die
    AdapterRegistry(root).add(folder, manifest("style@1"))


def prune_and_die(root: Path, place: Literal["rename", "delete"]) -> None:
    """Be killed in the middle of pruning down to one adapter a role."""
    if place == "rename":
        module.os.rename = _die
    else:
        shutil.rmtree = _die  # type: ignore[assignment]
    AdapterRegistry(root).prune(1)


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
