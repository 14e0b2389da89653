"""A model that keeps its matrices in int8 answers nearly as one in fp32."""

import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from adapter_fixtures import random_adapter
from patlm.models.device import bytes_per_weight, keeps_int8
from patlm.models.local.adapters import AdapterFiles
from patlm.models.local.int8_storage import BLOCK, Int8Linear, store_in_int8
from patlm.models.open import open_local_chat
from tiny_models import tiny_llama, tiny_tokenizer


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder of bf16 weights."""
    tokenizer = tiny_tokenizer()
    tiny_llama(len(tokenizer)).bfloat16().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="module")
def plain() -> torch.nn.Linear:
    """A layer of several blocks."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(3000, BLOCK // 3000 * 2 + 7)
    layer.weight.data *= torch.rand(layer.out_features, 1)
    return layer


def in_int8(plain: torch.nn.Linear) -> Int8Linear:
    stored = torch.nn.Sequential(deepcopy(plain).bfloat16())
    store_in_int8(stored)
    assert isinstance(stored[0], Int8Linear)
    return stored[0]


def relative(error: torch.Tensor, of: torch.Tensor) -> float:
    return float(error.norm() / of.norm())


@torch.inference_mode()
def test_each_row_is_multiplied_as_in_fp32(
    plain: torch.nn.Linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = in_int8(plain)
    monkeypatch.setattr(torch.backends.quantized, "engine", "qnnpack")
    widened = in_int8(plain)
    assert packed.packed is not None and not packed.weight.numel()
    assert widened.packed is None and widened.weight.dtype == torch.int8
    rows = torch.randn(70, 3000) * torch.rand(70, 1) ** 9
    rows[:, 7] *= 200  # one number far beyond the others, as such models have
    rows[3], rows[4] = 0, rows[5] * -1e6
    rows[6] = rows[6].sign()
    exact, ours = widened(rows), packed(rows.reshape(7, 10, 3000)).reshape(70, -1)
    assert relative(exact - plain(rows), plain(rows)) < 0.01
    assert max(relative(a - b, b) for a, b in zip(ours, exact, strict=True)) < 5e-3


@torch.inference_mode()
def test_a_row_does_not_depend_on_the_others(plain: torch.nn.Linear) -> None:
    stored = in_int8(plain)
    rows = torch.randn(80, 3000)
    rows[1:] *= 1e4
    assert torch.equal(stored(rows)[:1], stored(rows[:1]))


def test_answers_are_near_those_of_fp32_with_and_without_an_adapter(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_adapter(tmp_path / "style@1", 1)

    def find(name: str) -> AdapterFiles:
        return AdapterFiles(tmp_path / name)

    plain = open_local_chat(str(saved), dtype="fp32", find_adapter=find)
    monkeypatch.setattr("patlm.models.open.keeps_int8", lambda dtype, weights: True)
    stored = open_local_chat(str(saved), dtype="auto", find_adapter=find)
    kinds = {type(layer) for layer in stored.llm.pipeline.model.modules()}
    assert Int8Linear in kinds and torch.nn.Linear not in kinds
    assert stored.fingerprint == plain.fingerprint and stored.parameters == plain.parameters
    found = []
    for options in ({}, {"adapter": "style@1"}):
        asked = {"max_tokens": 1, "capture": True, **options}
        theirs, ours = (model.invoke("Hello", **asked) for model in (plain, stored))
        found.append([answer.response_metadata["logprobs"][0] for answer in (theirs, ours)])
    (base, ours), (adapted, ours_adapted) = found
    assert ours == pytest.approx(base, abs=0.06)
    assert ours_adapted == pytest.approx(adapted, abs=0.06)
    assert abs(adapted - base) > 0.2
    plain.close()
    stored.close()


def test_only_large_models_of_bf16_files_on_a_slow_cpu_are_stored_so(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patlm.models.device.choose_device", lambda: "cpu")
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
    assert keeps_int8("auto", 10**9) and bytes_per_weight("auto", 10**9) == 2
    assert not keeps_int8("fp32", 10**9) and bytes_per_weight("fp32", 10**9) == 4
    assert not keeps_int8("bf16", 10**9) and not keeps_int8("auto", 10**8)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: True)
    assert not keeps_int8("auto", 10**9)
    asked: list[int] = []
    monkeypatch.setattr(
        "patlm.models.open.keeps_int8", lambda dtype, weights: bool(asked.append(weights))
    )
    open_local_chat(str(saved)).close()
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"dtype": "float32"}))
    open_local_chat(str(saved), dtype="fp32").close()
    assert asked[0] > 10_000 and asked[1] == 0
