"""Short runs of `train` on planted episodes, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from patlm.evaluation.progress import Unwatched
from patlm.stores.episodes.schema import Episode
from patlm.training.trainer.config import TrainConfig
from patlm.training.trainer.train import TrainReport, train
from peft import PeftModel
from planted_episodes import save_base, word_llama, write_episodes
from safetensors.torch import load_file


class KilledAt(Unwatched):
    """A watch that ends a run from inside, as a signal would, after an optimiser step."""

    def __init__(self, step: int, error: BaseException) -> None:
        self._step, self._error = step, error

    def advance(self, item: object) -> None:
        """Raise the error where its step is done."""
        if item == self._step:
            raise self._error


def run_config(folder: Path, episodes: Sequence[Episode] | Path, **settings: Any) -> TrainConfig:
    """Return the settings of a run in a folder: fp32 and no warm-up of the learning rate."""
    base, kept = folder / "base", folder / "episodes"
    if not base.exists():
        save_base(base)
    if isinstance(episodes, Path):
        kept = episodes
    elif not kept.exists():
        write_episodes(kept, episodes)
    given = {
        "role": "style",
        "episodes": kept,
        "out": folder / "run",
        "adapters": folder / "adapters",
        "model": str(base),
        "dtype": "fp32",
        "learning_rate": 0.01,
        "warmup": 0.0,
        **settings,
    }
    return TrainConfig(**given)


def run_training(
    folder: Path, episodes: Sequence[Episode] | Path, *, reward: Any = None, **settings: Any
) -> TrainReport:
    """Train on planted episodes."""
    return train(run_config(folder, episodes, **settings), reward=reward)


def curve(out: Path, name: str = "loss") -> list[float]:
    """Return a figure of each step."""
    found: list[float] = json.loads((out / "curves.json").read_text())[name]
    return found


def weights(adapter: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of an adapter."""
    return load_file(adapter / "adapter_model.safetensors")


def with_trained(adapter: Path) -> Any:
    """Return the planted base model with an adapter."""
    return PeftModel.from_pretrained(word_llama(), adapter).eval()
