"""Cost of our wiring of the trainer: our DPO run against a bare TRL trainer, on the same pairs.

Both get the same `DPOConfig`, base model and new LoRA weights of one shape and seed. The bare one
follows TRL's documentation: a base model, a `peft_config` and text columns. Ours has token ids,
guards and checkpoints. They run alternately; the ratio is that of the medians. Their loss curves
are compared in fp32, from separate runs where the timed ones are in bf16.

The pairs come from episodes, or from texts of the sample corpus; pairs whose text TRL would
tokenise to other ids are left out, because both must learn from the same ids.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..models.device import choose_device, choose_dtype, dtype_name
from ..stores.datasets.formats import read_texts
from ..stores.datasets.sample import sample_corpus
from ..stores.types import Text
from ..training.data.pairs import PairSettings, PreferencePair, make_pairs
from ..training.data.samples import Needs, Skipped, load_episodes
from ..training.data.token_ids import answer_ids, prompt_ids
from ..training.errors import TrainingError
from ..training.trainer.config import TrainConfig, settled
from ..training.trainer.model import Base, open_base, with_adapter

if TYPE_CHECKING:
    from trl import DPOConfig, DPOTrainer

Say = Callable[[str], None]
"""Called with what is being measured, and what was found."""


@dataclass(frozen=True)
class TrainingSize:
    """How much is measured.

    Attributes:
        pairs: Number of pairs that both learn from.
        batch: Pairs of a batch.
        accumulation: Batches of a step.
        repeats: Timed runs of each, alternating.
    """

    pairs: int = 32
    batch: int = 4
    accumulation: int = 1
    repeats: int = 3


@dataclass(frozen=True)
class _Timed:
    """One run: steps a second of the training itself, seconds in all, and its loss curve."""

    steps_per_s: float
    seconds: float
    losses: list[float]


def measure_training(
    model: str,
    *,
    dtype: str = "auto",
    episodes: Path | None = None,
    size: TrainingSize = TrainingSize(),  # noqa: B008
    say: Say,
) -> dict[str, Any]:
    """Measure our run against the bare trainer. Blocks.

    Args:
        model: A model's folder or hub id.
        dtype: "auto", "fp32" or "bf16", of the timed runs.
        episodes: Shard or folder of the pairs' episodes; None: the sample corpus.
        size: How much to measure.
        say: Called with each step.

    Raises:
        TrainingError: There are too few pairs.
    """
    device = choose_device()
    chosen = dtype_name(choose_dtype(dtype, device))
    pairs = bench_pairs(open_base(model, dtype="fp32", device=device), episodes, size.pairs)
    with TemporaryDirectory() as folder:
        config = _config(size, device, chosen, Path(folder))
        runner = _Runner(model, device, pairs, Path(folder), say)
        runs: dict[str, list[_Timed]] = {"bare": [], "ours": []}
        for repeat in range(size.repeats):
            for system in ("bare", "ours"):
                runs[system].append(runner.run(system, config, f"{repeat + 1} of {size.repeats}"))
        exact = replace(config, dtype="fp32")
        first = {
            system: found[0] if chosen == "fp32" else runner.run(system, exact, "curve in fp32")
            for system, found in runs.items()
        }
    return _summary(runs, first, chosen, device, len(pairs), size)


class _Runner:
    """Runs either system on the same pairs."""

    def __init__(
        self, model: str, device: str, pairs: Sequence[PreferencePair], folder: Path, say: Say
    ) -> None:
        self._model, self._device, self._pairs = model, device, pairs
        self._folder, self._say = folder, say
        self._runs = 0

    def run(self, system: str, config: TrainConfig, what: str) -> _Timed:
        """Run one system and report it."""
        from ..training.methods.dpo import dpo_arguments
        from ..training.trainer.quiet import quiet_training, silence

        self._runs += 1
        place = self._folder / str(self._runs)
        base = open_base(self._model, dtype=config.dtype, device=self._device)
        build = _build_ours if system == "ours" else _build_bare
        began = time.perf_counter()
        with quiet_training():
            arguments = dpo_arguments(replace(config, out=place / "out"), self._device)
            trainer = build(base, self._pairs, arguments, place)
            silence(trainer)
            ready = time.perf_counter()
            trainer.train()
            ended = time.perf_counter()
        losses = [each["loss"] for each in trainer.state.log_history if "loss" in each]
        found = _Timed(trainer.state.global_step / (ended - ready), ended - began, losses)
        self._say(f"{system} {what}: {found.steps_per_s:.3f} steps/s, {found.seconds:.1f} s in all")
        return found


def _build_ours(
    base: Base, pairs: Sequence[PreferencePair], arguments: DPOConfig, place: Path
) -> DPOTrainer:
    from ..training.methods.dpo import dpo_trainer, pair_rows
    from ..training.trainer.guards import Guards
    from ..training.trainer.method import build_trainer

    model = with_adapter(base, None, seed=arguments.seed)
    trainer: DPOTrainer = build_trainer(
        dpo_trainer,
        model,
        base.tokenizer,
        pair_rows(pairs),
        arguments,
        folder=place / "rows",
        callbacks=[Guards(model)],
    )
    return trainer


def _build_bare(
    base: Base, pairs: Sequence[PreferencePair], arguments: DPOConfig, place: Path
) -> DPOTrainer:
    from datasets import Dataset
    from trl import DPOTrainer

    from ..models.local.adapters import lora_config

    rows = [_as_text(pair, base) for pair in pairs]
    return DPOTrainer(
        model=base.model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=base.tokenizer,
        peft_config=lora_config(base.model.config),
    )


def bench_pairs(base: Base, episodes: Path | None, number: int) -> list[PreferencePair]:
    """Return pairs whose text TRL tokenises to their own ids.

    Raises:
        TrainingError: There are fewer than `number`.
    """
    found = _sample_pairs(base, number) if episodes is None else _episode_pairs(base, episodes)
    same = [pair for pair in found if _same_ids(pair, base)][:number]
    if len(same) < number:
        raise TrainingError(
            f"expected {number} pairs that are the same tokens after decoding and encoding, got "
            f"{len(same)} of {len(found)}: give more episodes, or ask for fewer --pairs",
            code="too_few_pairs",
        )
    return same


def _episode_pairs(base: Base, path: Path) -> list[PreferencePair]:
    """Return pairs of both reasoners, with any gap."""
    settings = PairSettings(margin=0.0, length_ratio=4.0)
    skipped = Skipped()
    episodes = load_episodes(path, skipped)
    return [
        pair
        for role in ("style", "preference")
        for pair in make_pairs(episodes, Needs(role, base.fingerprint), settings, (0,), skipped)
        if not pair.abstains and _ends(pair, base)
    ]


def _ends(pair: PreferencePair, base: Base) -> bool:
    """Tell whether both answers end: TRL ends all of them."""
    end = base.tokenizer.eos_token_id
    return (pair.chosen_ids[-1], pair.rejected_ids[-1]) == (end, end)


def _sample_pairs(base: Base, number: int) -> list[PreferencePair]:
    """Return pairs of a title and two texts of the sample corpus."""
    from ..stores.episodes.schema import Episode

    texts = [text for text in read_texts(sample_corpus()) if isinstance(text, Text)]
    nobody = Episode(run_id="sample", namespace="default", request={})
    pairs = []
    for place in range(2 * number):
        one, other = texts[place % len(texts)], texts[(place * 7 + 3) % len(texts)]
        asked = f"{one.body}\nDescribe how this is written: {other.title}"
        pairs.append(
            PreferencePair(
                prompt_ids=tuple(prompt_ids(base.tokenizer, [("user", asked)])),
                chosen_ids=tuple(answer_ids(base.tokenizer, one.body)),
                rejected_ids=tuple(answer_ids(base.tokenizer, other.body)),
                gap=1.0,
                abstains=False,
                episode=nobody,
            )
        )
    return pairs


def _as_text(pair: PreferencePair, base: Base) -> dict[str, str]:
    ids = {
        "prompt": pair.prompt_ids,
        "chosen": pair.chosen_ids,
        "rejected": pair.rejected_ids,
    }
    return {name: str(base.tokenizer.decode(list(found))) for name, found in ids.items()}


def _same_ids(pair: PreferencePair, base: Base) -> bool:
    text = _as_text(pair, base)
    whole = [base.tokenizer(text["prompt"] + text[name])["input_ids"] for name in _SIDES]
    return whole == [
        [*pair.prompt_ids, *pair.chosen_ids],
        [*pair.prompt_ids, *pair.rejected_ids],
    ] and base.tokenizer(text["prompt"])["input_ids"] == list(pair.prompt_ids)


_SIDES = ("chosen", "rejected")


def _config(size: TrainingSize, device: str, dtype: Any, folder: Path) -> TrainConfig:
    asked = TrainConfig(batch=size.batch, accumulation=size.accumulation, out=folder, warmup=0.0)
    return settled(replace(asked, dtype=dtype), device=device, bf16=False)


def _summary(
    runs: dict[str, list[_Timed]],
    curves: dict[str, _Timed],
    dtype: str,
    device: str,
    pairs: int,
    size: TrainingSize,
) -> dict[str, Any]:
    rate = {name: median(run.steps_per_s for run in found) for name, found in runs.items()}
    whole = {name: median(run.seconds for run in found) for name, found in runs.items()}
    ours, bare = curves["ours"].losses, curves["bare"].losses
    return {
        "ratio_vs_bare": round(rate["ours"] / rate["bare"], 4),
        "loss_max_abs_diff": max(abs(a - b) for a, b in zip(ours, bare, strict=True)),
        "whole_ratio_vs_bare": round(whole["bare"] / whole["ours"], 4),
        "steps_per_s": {
            name: [round(run.steps_per_s, 4) for run in found] for name, found in runs.items()
        },
        "losses": {"ours": ours, "bare": bare},
        "pairs": pairs,
        "batch": size.batch,
        "accumulation": size.accumulation,
        "dtype": dtype,
        "device": device,
    }
