"""Resident memory after one batch, in a process of its own.

python -m patlm.bench.serving_memory MODEL DTYPE FOLDER [ADAPTER ...]
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROWS = 16


def memory_ratio(model: str, dtype: str, adapters: Path, names: Sequence[str]) -> float:
    """Return the memory after a mixed batch of six adapters over that after one of the base model.

    Args:
        model: The model's folder.
        dtype: "fp32" or "bf16".
        adapters: Where the adapters lie.
        names: Which are mixed.
    """
    base, mixed = (_measure(model, dtype, adapters, some) for some in ((), names))
    return mixed / base


def _measure(model: str, dtype: str, adapters: Path, names: Sequence[str]) -> int:
    command = [sys.executable, "-m", "patlm.bench.serving_memory"]
    done = subprocess.run(
        [*command, model, dtype, str(adapters), *names], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


async def _resident(model: str, dtype: str, adapters: Path, names: Sequence[str]) -> int:
    import psutil

    from ..models.local_loading import open_local_chat
    from .serving_inputs import finder, prompts_of, texts_of

    chat = open_local_chat(model, dtype=dtype, find_adapter=finder(adapters))
    prompts = prompts_of(texts_of(None), ROWS, chat)
    await asyncio.gather(
        *(
            chat.ainvoke(prompt, max_tokens=8, adapter=names[place % len(names)] if names else None)
            for place, prompt in enumerate(prompts)
        )
    )
    if len(chat.adapters_loaded) != len(names):
        raise RuntimeError(f"expected {len(names)} adapters in memory, got {chat.adapters_loaded}")
    gc.collect()
    resident = int(psutil.Process().memory_info().rss)
    chat.close()
    return resident


if __name__ == "__main__":
    model_, dtype_, folder, *names_ = sys.argv[1:]
    sys.stdout.write(f"{asyncio.run(_resident(model_, dtype_, Path(folder), names_))}\n")
