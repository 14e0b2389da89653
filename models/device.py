"""Choose the device and the number format of a model, and know how much memory is free.

Measured with smollm2-135m, prompts of 150 tokens, two cores:

| CPU | format | prompt tok/s (8 rows) | new tok/s (1 row, 8 rows) |
|---|---|---|---|
| AVX2 only | fp32 | 470 | 12.5, 49-57 |
| AVX2 only | bf16 | 76 | 18, 44-63 |
| AVX-512 with bf16 | fp32 | | 14, 74 |
| AVX-512 with bf16 | bf16 | 1,000 | 18, 95 |

A CPU without the instruction avx512_bf16 emulates bf16 products, even if it has the rest of
AVX-512: there the topic encoder reads 57 texts/s in bf16 and 208 in fp32, and a call of the loop,
16 targets at a time, takes twice as long. With the instruction bf16 is faster everywhere.
Without it large models have int8 weights (`local.int8_storage`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CallRefused
from .extras import has_extra

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "fp32", "bf16")

_GPUS = ("nvidiactl", "nvmap", "dxg", "kfd")  # of NVIDIA, on Jetson and in WSL, and of AMD


def choose_device() -> str:
    """Return "cuda" where such a device is available, else "cpu"; that without torch, too."""
    if not has_extra("local"):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def may_have_gpu(devices: Path = Path("/dev")) -> bool:
    """Return whether there may be a GPU for torch; to import torch and ask it takes seconds.

    Args:
        devices: Folder of the device files.
    """
    return os.name == "nt" or any((devices / name).exists() for name in _GPUS)


def fit_threads() -> int:
    """Limit torch's threads to the cores of this process, and return their number.

    torch counts the cores of the machine; in a container that may use two of 64 its threads would
    mostly wait for each other. A smaller number that is already set stays.
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
        raise CallRefused(
            f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}", code="invalid_option"
        )
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    # Not all allowed versions of torch have a public function for it.
    fast = torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def dtype_name(dtype: torch.dtype) -> str:
    """Return the short name of a dtype, as used in settings and versions."""
    return {"torch.float32": "fp32", "torch.bfloat16": "bf16"}.get(str(dtype), str(dtype))


INT8_FROM = 400_000_000
"""Weights from which a model is kept in int8 where it would compute in fp32: a smaller one is fast
enough, and answers exactly as its files say."""


def keeps_int8(dtype: str, weights: int) -> bool:
    """Return whether a model of bf16 weights is kept in int8.

    That is so of large models on a CPU that is slow in bf16 (`local.int8_storage`).

    Args:
        dtype: The setting, see `choose_dtype`.
        weights: Number of the model's weights.
    """
    device = choose_device()
    slow = device == "cpu" and choose_dtype(dtype, device).itemsize == 4
    return dtype == "auto" and slow and weights >= INT8_FROM


def bytes_per_weight(dtype: str = "auto", weights: int = 0) -> int:
    """Return the bytes of one weight in memory, of a model whose files hold bf16.

    Args:
        dtype: The setting, see `choose_dtype`.
        weights: Number of the model's weights.

    Raises:
        CallRefused: For another setting.
    """
    if not has_extra("local"):  # nothing can be loaded here: what it may take with torch
        return 2 if dtype == "bf16" else 4
    # In int8 it is one, and the pages of the files lie beside it while it is loaded.
    return 2 if keeps_int8(dtype, weights) else choose_dtype(dtype, choose_device()).itemsize


def free_memory() -> int:
    """Return the bytes of memory that a process may still take, within its container's limit.

    With a GPU that is the GPU's memory.
    """
    import psutil

    if choose_device() == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    free = int(psutil.virtual_memory().available)
    for folder, limit, usage, cached in _CONTAINERS:
        try:
            most, used = (folder / limit).read_text().strip(), int((folder / usage).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        if most.isdecimal():  # else "max"
            free = min(free, max(0, int(most) - used + int(stat.get(cached, 0))))
    return free


_CONTAINERS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
"""Where Linux keeps a container's limit, use, and cached files, which it gives back when needed."""
