"""Give freed memory back to the system between the steps of a long run."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back_memory() -> None:
    """Hand what this process has freed back to the system.

    glibc keeps what a model's tensors leave behind, in arenas that each thread has of its own: in
    the rounds of a cell 3 GB at the beginning were 17 GB after the warm-up. Measured between three
    trainings in one process, 2.9 GB of resident memory became 0.7 to 0.8. Where the C library has
    no `malloc_trim`, garbage is collected and no more.
    """
    gc.collect()
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
