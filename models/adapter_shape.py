"""The shape of an adapter by default: few layers, so that it costs little to serve.

LoRA of rank 16 on the seven linear modules of the top third of the layers: 3.3 MB in bf16 for the
bundled model. An adapter on all layers would cost three times as much time in a mixed batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PretrainedConfig

RANK = 16
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def lora_config(config: PretrainedConfig, **changes: Any) -> LoraConfig:
    """Return the configuration of a new adapter.

    Args:
        config: The base model's, which says how many layers there are.
        **changes: Fields of PEFT's `LoraConfig` in place of the defaults.
    """
    from peft import LoraConfig

    layers = int(config.num_hidden_layers)
    fields: dict[str, Any] = {
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": list(MODULES),
        "layers_to_transform": list(range(layers - layers // 3, layers)),
        "task_type": "CAUSAL_LM",
    }
    return LoraConfig(**{**fields, **changes})
