"""A kept adapter's folder is what vLLM's loader reads: checked against that loader's rules.

They stand in vLLM's `lora/peft_helper.py` (configuration), `lora/lora_model.py` (files) and
`lora/utils.py` (names of tensors).
"""

import json
import re
from pathlib import Path

import pytest
from adapter_fixtures import manifest
from patlm.models.local.adapters import MODULES, RANK
from patlm.stores.adapters.lineage import person_key
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.training.trainer.model import Base, save_adapter, with_adapter
from planted_episodes import word_llama, word_tokenizer
from safetensors import safe_open

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # that --max-lora-rank takes
TENSOR = re.compile(r"base_model\.model\.(model\.layers\.\d+\.\w+\.(\w+))\.lora_([AB])\.weight")


@pytest.fixture
def handed_over(registry: AdapterRegistry, tmp_path: Path) -> Path:
    """The folder of an adapter as training saves it and the registry keeps it."""
    base = Base(word_llama(), word_tokenizer(), "0" * 16, "words")
    save_adapter(with_adapter(base, None, seed=0), tmp_path / "trained")
    people = [person_key("default", "ann")]
    return registry.add(tmp_path / "trained", manifest("style@1"), trained_on=people).path


def test_the_configuration_has_what_vllm_asks_for(handed_over: Path) -> None:
    config = json.loads((handed_over / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert config["r"] == RANK and RANK in RANKS
    assert config["lora_alpha"] > 0 and set(config["target_modules"]) == set(MODULES)
    assert config["bias"] == "none" and not config["use_dora"]
    for unsupported in ("modules_to_save", "trainable_token_indices", "rank_pattern"):
        assert not config.get(unsupported)
    assert not Path(config["base_model_name_or_path"]).is_absolute(), "a place of one machine"


def test_every_tensor_bears_a_name_that_vllm_knows(handed_over: Path) -> None:
    with safe_open(handed_over / "adapter_model.safetensors", framework="np") as file:
        found = [TENSOR.fullmatch(name) for name in file.keys()]
    assert None not in found
    halves = {match[1]: set() for match in found if match}
    for match in found:
        halves[match[1]].add(match[3])  # type: ignore[index]
    assert set(map(frozenset, halves.values())) == {frozenset("AB")}
    assert {match[2] for match in found if match} == set(MODULES)
