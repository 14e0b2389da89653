"""Threads and number formats fit the machine that a process was given."""

from collections.abc import Iterator

import joblib
import pytest
import torch
from patlm.models.device import choose_dtype, fit_threads
from patlm.models.errors import CallRefused
from raising import raises


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("set_before", "cores", "used"), [(4, 2, 2), (2, 64, 2), (1, 2, 1)])
def test_no_more_threads_than_cores_and_no_more_than_were_set(
    threads: None, monkeypatch: pytest.MonkeyPatch, set_before: int, cores: int, used: int
) -> None:
    torch.set_num_threads(set_before)
    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    assert fit_threads() == used == torch.get_num_threads()


def test_bf16_by_itself_only_where_the_cpu_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for multiplies, expected in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda it=multiplies: it)
        assert choose_dtype("auto", "cpu") == expected
    with raises(CallRefused, "invalid_option", "auto, fp32, bf16", "int8"):
        choose_dtype("int8", "cpu")
