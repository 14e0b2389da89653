"""Choose the device and the number format a model runs in.

Measured with the bundled chat model, prompts of 150 tokens, two cores:

| CPU | format | prompt tok/s (8 rows) | new tok/s (1 row, 8 rows) |
|---|---|---|---|
| AVX2 only | fp32 | 470 | 12.5, 49-57 |
| AVX2 only | bf16 | 76 | 18, 44-63 |
| AVX-512 with bf16 | fp32 | | 14, 74 |
| AVX-512 with bf16 | bf16 | 1,000 | 18, 95 |

A CPU that has no instruction for it (avx512_bf16) emulates a bf16 product, also one with the rest
of AVX-512: there the topic encoder reads 57 texts/s in bf16 and 208 in fp32, and a call of the
loop, 16 targets at a time, takes twice as long. With it, bf16 wins everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import CallRefused

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "fp32", "bf16")


def choose_device() -> str:
    """Return "cuda" where there is such a device, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def fit_threads() -> int:
    """Use no more threads than this process was given cores, and return how many that is.

    torch counts the machine's cores. In a container that may use two of 64 its threads would spend
    their time waiting for one another. A smaller number that somebody set stays.
    """
    import joblib
    import torch

    threads = min(torch.get_num_threads(), int(joblib.cpu_count()))
    torch.set_num_threads(threads)
    return threads


def choose_dtype(dtype: str, device: str) -> torch.dtype:
    """Return the torch dtype for a setting.

    Args:
        dtype: "fp32", "bf16" or "auto": bf16 where the device is faster with it, else fp32.
        device: As `choose_device` returns it.

    Raises:
        CallRefused: For another setting.
    """
    import torch

    if dtype == "fp32":
        return torch.float32
    if dtype == "bf16":
        return torch.bfloat16
    if dtype != "auto":
        raise CallRefused(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    # torch has no public question for it in all versions that are allowed.
    fast = torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def dtype_name(dtype: torch.dtype) -> str:
    """Return the short name of a dtype as settings and versions spell it."""
    return {"torch.float32": "fp32", "torch.bfloat16": "bf16"}.get(str(dtype), str(dtype))
