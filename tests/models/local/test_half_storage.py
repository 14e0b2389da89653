"""A model that keeps bf16 matrices and computes in fp32 answers as one in fp32."""

import json
from pathlib import Path

import pytest
import torch
from adapter_fixtures import random_adapter
from patlm.models.device import bytes_per_weight, keeps_half
from patlm.models.local.adapters import AdapterFiles
from patlm.models.local.half_storage import BLOCK, HalfStoredLinear, store_in_half
from patlm.models.open import open_local_chat
from tiny_models import tiny_llama, tiny_tokenizer


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder of bf16 weights."""
    tokenizer = tiny_tokenizer()
    tiny_llama(len(tokenizer)).bfloat16().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_matrix_of_several_blocks_gives_the_product_of_fp32() -> None:
    torch.manual_seed(0)
    plain = torch.nn.Linear(3000, BLOCK // 3000 * 2 + 7).bfloat16()
    half = torch.nn.Sequential(torch.nn.Linear(*plain.weight.shape[::-1]).bfloat16())
    half[0].load_state_dict(plain.state_dict())
    store_in_half(half)
    assert isinstance(half[0], HalfStoredLinear) and half[0].weight.dtype == torch.bfloat16
    for shape in ((1, 3000), (2, 5, 3000)):
        rows = torch.randn(shape)
        with torch.inference_mode():
            torch.testing.assert_close(half(rows), plain.float()(rows), atol=1e-4, rtol=1e-4)
        plain.bfloat16()


def test_answers_are_those_of_fp32_with_and_without_an_adapter(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_adapter(tmp_path / "style@1", 1)

    def find(name: str) -> AdapterFiles:
        return AdapterFiles(tmp_path / name)

    plain = open_local_chat(str(saved), dtype="fp32", find_adapter=find)
    monkeypatch.setattr("patlm.models.open.keeps_half", lambda dtype, weights: True)
    half = open_local_chat(str(saved), dtype="auto", find_adapter=find)
    matrices = [p for p in half.llm.pipeline.model.parameters() if p.dim() == 2]
    assert {matrix.dtype for matrix in matrices} == {torch.bfloat16}
    assert half.fingerprint == plain.fingerprint and half.parameters == plain.parameters
    # An adapter's weights are bf16 there, so its answers differ in the last digits of bf16.
    for options, tokens, tolerance in (({}, 20, 1e-3), ({"adapter": "style@1"}, 4, 5e-2)):
        asked = {"max_tokens": tokens, "capture": True, **options}
        theirs, ours = (model.invoke("Hello", **asked) for model in (plain, half))
        assert ours.content == theirs.content
        logprobs = [answer.response_metadata["logprobs"] for answer in (ours, theirs)]
        torch.testing.assert_close(*logprobs, atol=tolerance, rtol=tolerance)
    plain.close()
    half.close()


def test_only_large_models_of_bf16_files_on_a_slow_cpu_are_stored_so(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patlm.models.device.choose_device", lambda: "cpu")
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
    assert keeps_half("auto", 10**9) and bytes_per_weight("auto", 10**9) == 2
    assert not keeps_half("fp32", 10**9) and bytes_per_weight("fp32", 10**9) == 4
    assert not keeps_half("bf16", 10**9) and not keeps_half("auto", 10**8)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: True)
    assert not keeps_half("auto", 10**9)
    asked: list[int] = []
    monkeypatch.setattr(
        "patlm.models.open.keeps_half", lambda dtype, weights: bool(asked.append(weights))
    )
    open_local_chat(str(saved)).close()
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"dtype": "float32"}))
    open_local_chat(str(saved), dtype="fp32").close()
    assert asked[0] > 10_000 and asked[1] == 0
