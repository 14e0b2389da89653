"""The settings of `patlm train`: one dataclass that flags and YAML both come from.

    config = read_config(Path("train.yaml"), {"role": "style"})  # flags win
    config = settled(config, device="cpu", bf16=False)           # what was left open is chosen

What is None is chosen by method and device when training starts, and printed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import ConfigRefused

Method = Literal["dpo", "grpo", "sft"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TrainConfig:
    """How one role's adapter is trained."""

    role: Literal["style", "preference", "integrate"] = Field(
        default="style", description="Whose adapter: style, preference or integrate."
    )
    method: Method = Field(
        default="dpo", description="dpo (pairs of one context), grpo (groups) or sft (warm start)."
    )
    episodes: Path = Field(default=Path("episodes"), description="Shard or folder of episodes.")
    also: Path | None = Field(
        default=None,
        description="sft of a reasoner: further episodes, collected by `--reasoner extractive`, "
        "which are taken along where that kind of summary teaches and helps in the mean.",
    )
    examples: int | None = Field(
        default=None,
        ge=1,
        description="sft: learn from so many at most, those first that were measured. "
        "Default: all.",
    )
    out: Path = Field(
        default=Path("run"), description="Folder of this run: checkpoints, curves and report."
    )
    adapters: Path | None = Field(
        default=None,
        description="Registry that the adapter is added to; the user's own by default.",
    )
    parent: str = Field(
        default="promoted",
        description="Adapter to go on from, which is the reference too: promoted, none or role@N.",
    )
    model: str = Field(default="bundled", description="Base model: bundled, a folder or a hub id.")
    dtype: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="Number format of the base model's weights."
    )
    rollouts: Literal["policy", "logged"] = Field(
        default="policy", description="grpo: draw from the policy, or take the logged groups, once."
    )
    store: str | None = Field(
        default=None,
        description="grpo from the policy: the store that the episodes were collected from.",
    )
    inexact: bool = Field(
        default=False,
        description="dpo and sft: take samples of a server too, which have no token ids: their "
        "texts are tokenised here.",
    )
    epochs: float = Field(default=1.0, gt=0, description="Passes over the data.")
    steps: int | None = Field(
        default=None,
        ge=1,
        description="Optimiser steps at most. Default: as many as the epochs take.",
    )
    batch: int | None = Field(
        default=None, ge=1, description="Pairs, samples or examples at once, per process."
    )
    accumulation: int | None = Field(
        default=None, ge=1, description="Batches added up for one optimiser step."
    )
    learning_rate: float | None = Field(default=None, gt=0, description="Of AdamW.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="How the learning rate goes on after its warm-up."
    )
    warmup: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the steps in which the learning rate rises."
    )
    beta: float | None = Field(
        default=None,
        ge=0,
        description="Pull to the reference: of DPO's loss, or of GRPO's KL term.",
    )
    gradient_checkpointing: bool | None = Field(
        default=None, description="Compute activations twice to save memory."
    )
    seed: int = Field(default=0, description="Of new weights and of the order of the data.")
    max_tokens: int = Field(
        default=1024, ge=8, description="A longer prompt and answer together is left out."
    )
    answer_tokens: int | None = Field(
        default=None, ge=1, description="An answer is cut here (sft), or drawn up to here (grpo)."
    )
    candidates: int = Field(
        default=8, ge=2, description="grpo from the policy: samples of a group."
    )
    temperature: float = Field(
        default=1.0, gt=0, description="grpo from the policy: of its samples."
    )
    margin: float = Field(
        default=0.02, ge=0, description="dpo: a pair's rewards differ by more than this."
    )
    pairs_per_group: int = Field(default=2, ge=1, description="dpo: pairs of one context at most.")
    length_ratio: float = Field(
        default=1.5,
        ge=1,
        description="dpo: the longer answer of a pair has at most so many times the "
        "tokens of the shorter.",
    )
    gate_margin: float = Field(
        default=0.0, description="A candidate with a differential reward up to this does not help."
    )
    abstain_share: float = Field(
        default=0.2, ge=0, le=1, description="dpo: share of the pairs that may teach to abstain."
    )
    copy_limit: float = Field(
        default=0.5, ge=0, description="A candidate that copies more than this share is left out."
    )
    save_every: int = Field(default=25, ge=1, description="Optimiser steps between checkpoints.")
    resume: bool = Field(default=True, description="Go on from the latest checkpoint in --out.")
    processes: int | None = Field(
        default=None, ge=1, description="Refuse to run in another number of processes than this."
    )
    report_to: Literal["none", "trackio", "tensorboard"] = Field(
        default="none", description="Where curves go besides: none, trackio or tensorboard."
    )


FIELDS: Mapping[str, Any] = {field.name: field.default for field in fields(TrainConfig)}
"""Default and description of each setting, as pydantic's `FieldInfo`."""

NAMES = tuple(FIELDS)

_BY_METHOD: Mapping[str, Mapping[str, Any]] = {
    "dpo": {"learning_rate": 5e-4, "beta": 0.1, "answer_tokens": 128},
    "grpo": {"learning_rate": 2e-5, "beta": 0.04, "answer_tokens": 48},
    "sft": {"learning_rate": 1e-3, "beta": 0.0, "answer_tokens": 128},
}
# Batches are what two cores can hold; an accelerator is idle with less than these.
_BATCHES: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "cpu": {"dpo": (4, 2), "grpo": (8, 4), "sft": (8, 1)},
    "cuda": {"dpo": (16, 2), "grpo": (64, 1), "sft": (32, 1)},
}


def read_config(path: Path | None, flags: Mapping[str, Any]) -> TrainConfig:
    """Return the settings of a YAML file and of flags, where both name one the flag's.

    Args:
        path: The file, or None.
        flags: Settings by name; None: not given.

    Raises:
        ConfigRefused: The file can't be read, or a setting is unknown or not of its type.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return TrainConfig(**{**({} if path is None else _read_yaml(path)), **given})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        if name not in NAMES:
            raise ConfigRefused(f"no setting {name}: expected some of {', '.join(NAMES)}") from None
        raise ConfigRefused(
            f"setting {name}: {first['msg'].lower()}, got {first['input']!r}"
        ) from None


def settled(config: TrainConfig, *, device: str, bf16: bool) -> TrainConfig:
    """Return the settings with everything that was left open chosen for a device.

    On a CPU: bf16 weights only where its instructions are fast with them, small batches, no
    gradient checkpointing. On an accelerator: bf16, larger batches, gradient checkpointing.

    Args:
        config: As it was given.
        device: "cpu" or "cuda".
        bf16: Whether bf16 weights are what this device is faster with.

    Raises:
        ConfigRefused: Settings that don't go together.
    """
    logged = config.method == "grpo" and config.rollouts == "logged"
    if logged and config.epochs > 1:
        raise ConfigRefused(
            f"logged groups are used in one pass, got epochs {config.epochs}: from the second on "
            "they are no samples of this policy; collect again instead"
        )
    if config.inexact and config.method == "grpo":
        raise ConfigRefused(
            "grpo weighs each token by how likely it was, so it needs the tokens that were "
            "generated: leave out --inexact, or use --method dpo"
        )
    if config.method != "sft" and config.role == "integrate":
        raise ConfigRefused(
            f"role integrate has no groups of candidates, so method {config.method} can't train "
            "it: use --method sft"
        )
    batch, accumulation = _BATCHES["cuda" if device == "cuda" else "cpu"][config.method]
    chosen = {
        **_BY_METHOD[config.method],
        "batch": batch,
        "accumulation": accumulation,
        "gradient_checkpointing": device == "cuda",
    }
    asked = {name: value for name in chosen if (value := _value(config, name)) is not None}
    dtype = config.dtype if config.dtype != "auto" else ("bf16" if bf16 else "fp32")
    return replace(config, **{**chosen, **asked, "dtype": dtype})


def fitted_warmup(config: TrainConfig, samples: int) -> TrainConfig:
    """Return the settings without a warm-up where its share is less than a step.

    Transformers rounds up, and the rate of a warm-up's first step is 0: a run of one step would
    learn nothing.

    Args:
        config: Settled.
        samples: Pairs or examples of an epoch.
    """
    at_once = (config.batch or 1) * (config.accumulation or 1) * process_count()
    steps = config.steps or config.epochs * -(-samples // at_once)
    return config if config.warmup * steps >= 1 else replace(config, warmup=0.0)


def described(config: TrainConfig, device: str) -> str:
    """Return what was chosen, in one line for people."""
    checkpointing = "on" if config.gradient_checkpointing else "off"
    return (
        f"{config.method} of {config.role} on {device}: weights in {config.dtype}, batch "
        f"{config.batch} x {config.accumulation}, learning rate {config.learning_rate:g}, beta "
        f"{config.beta:g}, gradient checkpointing {checkpointing}"
    )


def process_count() -> int:
    """Return how many processes a launcher (torchrun, accelerate) says there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _value(config: TrainConfig, name: str) -> Any:
    values: dict[str, Any] = config.__dict__
    return values[name]


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigRefused(
            f"{path}: {error.strerror or error}: expected settings as YAML"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise ConfigRefused(f"{path} is no YAML: {said}") from None
    if found is not None and not isinstance(found, dict):
        raise ConfigRefused(
            f"{path}: expected lines of `setting: value`, got {type(found).__name__}"
        )
    return found or {}
