"""Freed memory goes back to the system."""

import platform

import psutil
import pytest
from patlm.training.rounds.stages import give_back_memory

MIB = 2**20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps it or not")
def test_what_was_freed_between_kept_blocks_is_given_back():
    process = psutil.Process()
    blocks = [bytes(1) * 100_000 for _ in range(1_500)]
    kept = blocks[::50]  # so that the heap can't just shrink from its end
    full = process.memory_info().rss
    del blocks
    give_back_memory()
    assert full - process.memory_info().rss > 100 * MIB
    assert len(kept) == 30
