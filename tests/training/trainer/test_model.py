"""Training goes on from the parent, which is the reference too; nothing but the policy is saved."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from disk_faults import DAMAGES, damage
from patlm.bench.serving.inputs import BareModel
from patlm.models.errors import ModelNotFound, ModelUnusable
from patlm.models.local.adapters import lora_config
from patlm.stores.adapters.manifest import Manifest
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.training.data.pairs import PairSettings, make_pairs
from patlm.training.data.samples import Needs, Skipped
from patlm.training.methods.dpo import dpo_arguments, dpo_trainer, pair_rows
from patlm.training.trainer.config import settled
from patlm.training.trainer.method import build_trainer
from patlm.training.trainer.model import open_base, save_adapter, with_adapter
from peft import PeftModel, get_peft_model
from planted_episodes import (
    curve,
    planted_episodes,
    run_config,
    run_training,
    save_base,
    weights,
    word_llama,
)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved adapter of the planted base that changes its answers."""
    folder = tmp_path_factory.mktemp("parent") / "adapter"
    model = word_llama()
    torch.manual_seed(3)
    shape = lora_config(model.config, init_lora_weights=False)
    save_adapter(get_peft_model(model, shape), folder)
    return folder


def registered(folder: Path, parent: Path, base: str) -> AdapterRegistry:
    registry = AdapterRegistry(folder)
    registry.add(parent, Manifest(role="style", step=1, base=base, base_name="words"))
    return registry


def log_probability(model: Any, prompt: list[int], answer: list[int]) -> float:
    """Return Σ log p(token | what stands before) over the answer's tokens."""
    ids = torch.tensor([prompt + answer])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    chosen = logits.log_softmax(-1).gather(1, torch.tensor(answer).unsqueeze(1))
    return float(chosen.sum())


@pytest.mark.parametrize(
    "name", [pytest.param("style@1", marks=pytest.mark.slow), "promoted", "none"]
)
def test_the_loss_at_step_0_is_ln_2(name: str, parent: Path, tmp_path: Path) -> None:
    episodes = planted_episodes(20)
    base = episodes[0].samples[0].base or ""
    registered(tmp_path / "adapters", parent, base).promote("style@1")
    report = run_training(tmp_path, episodes, parent=name, steps=2, batch=8, accumulation=1)
    assert report.loss_first == pytest.approx(math.log(2), abs=1e-6)
    assert report.loss_last != pytest.approx(math.log(2), abs=1e-6)
    assert report.parent == (None if name == "none" else "style@1")
    assert report.adapter == "style@2"
    first = {key: curve(tmp_path / "run", f"rewards/{key}")[0] for key in ("chosen", "rejected")}
    assert first == pytest.approx({"chosen": 0.0, "rejected": 0.0}, abs=1e-5)


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer_config.json"])
def test_a_damaged_base_model_is_one_error(tmp_path: Path, name: str, how: str) -> None:
    base = save_base(tmp_path / "base")
    damage(base / name, how)
    with pytest.raises((ModelNotFound, ModelUnusable)) as caught:
        open_base(str(base), dtype="fp32", device="cpu")
    assert str(base) in str(caught.value)
    with pytest.raises((ModelNotFound, ModelUnusable)) as caught:
        BareModel(str(base), torch.float32)
    assert str(base) in str(caught.value)


@pytest.mark.parametrize("has_parent", [True, False])
def test_the_references_log_probabilities_are_the_parents(
    has_parent: bool, parent: Path, tmp_path: Path
) -> None:
    config = run_config(tmp_path, planted_episodes(12))
    chosen = settled(config, device="cpu", bf16=False)
    opened = open_base(config.model, dtype="fp32", device="cpu")
    needs = Needs("style", opened.fingerprint)
    pairs = make_pairs(planted_episodes(12), needs, PairSettings(), (1,), Skipped())
    model = with_adapter(opened, parent if has_parent else None, seed=0)
    arguments = dpo_arguments(chosen, "cpu")
    rows = pair_rows(pairs)
    trainer = build_trainer(
        dpo_trainer, model, opened.tokenizer, rows, arguments, folder=tmp_path / "rows"
    )
    reference = word_llama()
    if has_parent:
        reference = PeftModel.from_pretrained(reference, parent)
    for side in ("chosen", "rejected"):
        expected = [
            log_probability(reference, list(pair.prompt_ids), list(getattr(pair, f"{side}_ids")))
            for pair in pairs
        ]
        assert trainer.train_dataset[f"ref_{side}_logps"] == pytest.approx(expected, abs=1e-4)
    assert list(model.peft_config) == ["default"]


def test_the_policy_alone_is_saved_in_bf16(tmp_path: Path) -> None:
    run_training(tmp_path, planted_episodes(20), steps=3, save_every=1, method="grpo",
                 rollouts="logged", batch=6, accumulation=1)  # fmt: skip
    kept = tmp_path / "adapters" / "style@1"
    tensors = weights(kept)
    assert {values.dtype for values in tensors.values()} == {torch.bfloat16}
    assert len(tensors) == 2 * 7  # two factors of seven modules in one layer
    assert not list((tmp_path / "run").rglob("ref"))
    config = json.loads((kept / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "base"  # no place of this machine
