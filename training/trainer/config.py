"""Settings of `patlm train`: one dataclass for flags and YAML.

    config = read_config(Path("train.yaml"), {"role": "style"})  # flags win
    config = settled(config, device="cpu", bf16=False)           # chooses open settings

Settings that are None are chosen by method and device when training starts, and printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from ...stores.errors import InvalidField
from ..errors import ConfigRefused
from ..methods import METHODS


def _known_method(name: str) -> str:
    if name not in METHODS:
        raise ValueError(f"expected one of {', '.join(METHODS)}")
    return name


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class TrainConfig:
    """Settings of the training of one role's adapter."""

    role: Literal["style", "preference", "integrate"] = Field(
        default="style", description="Role of the adapter: style, preference or integrate."
    )
    method: Annotated[str, AfterValidator(_known_method)] = Field(
        default="dpo",
        description=f"{', '.join(f'{each.name} ({each.says})' for each in METHODS.values())}.",
    )
    episodes: Path = Field(default=Path("episodes"), description="Shard or folder of episodes.")
    also: Path | None = Field(
        default=None,
        description="sft of a reasoner: more episodes, collected with `--reasoner extractive`, "
        "used if extractive summaries are the teacher and help on average.",
    )
    examples: int | None = Field(
        default=None,
        ge=1,
        description="sft: maximum number of examples, measured ones first. Default: all.",
    )
    out: Path = Field(
        default=Path("run"), description="Folder of this run: checkpoints, curves and report."
    )
    adapters: Path | None = Field(
        default=None,
        description="Registry to add the adapter to. Default: the user's own.",
    )
    parent: str = Field(
        default="promoted",
        description="Adapter to start from, also the reference: promoted, none or role@N.",
    )
    model: str = Field(
        default="auto", description="Base model: auto, an installed one, a folder or a hub id."
    )
    dtype: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="Number format of the base model's weights: auto, fp32 or bf16."
    )
    rollouts: Literal["policy", "logged"] = Field(
        default="policy",
        description="grpo: policy (sample from it), or logged (use the groups once).",
    )
    store: str | None = Field(
        default=None,
        description="grpo from the policy: the store that the episodes were collected from.",
    )
    inexact: bool = Field(
        default=False,
        description="dpo and sft: also use samples of a server, which have no token ids; their "
        "texts are tokenised here.",
    )
    epochs: float = Field(default=1.0, gt=0, description="Passes over the data.")
    steps: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of optimiser steps. Default: as many as the epochs take.",
    )
    batch: int | None = Field(
        default=None, ge=1, description="Pairs, samples or examples per batch and process."
    )
    accumulation: int | None = Field(
        default=None, ge=1, description="Batches accumulated for one optimiser step."
    )
    learning_rate: float | None = Field(default=None, gt=0, description="Learning rate of AdamW.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear",
        description="Learning-rate schedule after the warm-up: linear, cosine or constant.",
    )
    warmup: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the steps used for learning-rate warm-up."
    )
    beta: float | None = Field(
        default=None,
        ge=0,
        description="Weight of the reference: beta of DPO, or of GRPO's KL term.",
    )
    gradient_checkpointing: bool | None = Field(
        default=None, description="Recompute activations to save memory."
    )
    seed: int = Field(
        default=0, ge=0, description="Random seed of new weights and of the order of the data."
    )
    max_tokens: int = Field(
        default=1024,
        ge=8,
        description="Maximum length of prompt and answer together; longer ones are skipped.",
    )
    answer_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Answers are cut at this length (sft) or sampled up to it (grpo).",
    )
    candidates: int = Field(default=8, ge=2, description="grpo from the policy: samples per group.")
    temperature: float = Field(
        default=1.0, gt=0, description="grpo from the policy: sampling temperature."
    )
    margin: float = Field(
        default=0.02, ge=0, description="dpo: minimum reward difference of a pair."
    )
    pairs_per_group: int = Field(
        default=2, ge=1, description="dpo: maximum number of pairs per context."
    )
    length_ratio: float = Field(
        default=1.5,
        ge=1,
        description="dpo: maximum ratio of the token counts of a pair's answers.",
    )
    gate_margin: float = Field(
        default=0.0,
        description="A candidate helps if its differential reward exceeds this.",
    )
    abstain_share: float = Field(
        default=0.2, ge=0, le=1, description="dpo: maximum share of pairs that teach to abstain."
    )
    copy_limit: float = Field(
        default=0.5, ge=0, description="Candidates that copy more than this share are skipped."
    )
    save_every: int = Field(default=25, ge=1, description="Optimiser steps between checkpoints.")
    resume: bool = Field(default=True, description="Resume from the latest checkpoint in --out.")
    processes: int | None = Field(
        default=None, ge=1, description="Required number of processes; refuse any other."
    )
    report_to: Literal["none", "trackio", "tensorboard"] = Field(
        default="none", description="Also send curves to: none, trackio or tensorboard."
    )


FIELDS: Mapping[str, Any] = {field.name: field.default for field in fields(TrainConfig)}
"""Default and description of each setting, as pydantic's `FieldInfo`."""

NAMES = tuple(FIELDS)


def read_config(path: Path | None, flags: Mapping[str, Any]) -> TrainConfig:
    """Return the settings of a YAML file and of flags; flags override the file.

    Args:
        path: The YAML file, or None.
        flags: Settings by name; None: not given.

    Raises:
        ConfigRefused: The file can't be read, or a setting is unknown or has the wrong type.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return TrainConfig(**{**({} if path is None else _read_yaml(path)), **given})
    except ValidationError as error:
        field = InvalidField.of(error)
        if field.place not in NAMES:
            raise ConfigRefused(
                f"no setting {field.place}: expected some of {', '.join(NAMES)}",
                code="unknown_setting",
            ) from None
        raise ConfigRefused(f"setting {field.with_value()}") from None


def settled(config: TrainConfig, *, device: str, bf16: bool) -> TrainConfig:
    """Return the settings with all open ones chosen for a device.

    On a CPU: bf16 weights only if the CPU has fast bf16 instructions, small batches, no gradient
    checkpointing. On an accelerator: bf16, larger batches, gradient checkpointing.

    Args:
        config: The given settings.
        device: "cpu" or "cuda".
        bf16: Whether the device is faster with bf16 weights.

    Raises:
        ConfigRefused: The settings contradict each other.
    """
    method = METHODS[config.method]
    method.check(config)
    if config.role not in method.roles:
        able = [other.name for other in METHODS.values() if config.role in other.roles]
        raise ConfigRefused(
            f"role {config.role} has no groups of candidates, so method {method.name} can't train "
            f"it: use --method {' or '.join(able)}",
            code="role_without_groups",
        )
    batch, accumulation = method.batches["cuda" if device == "cuda" else "cpu"]
    chosen = {
        **method.defaults,
        "batch": batch,
        "accumulation": accumulation,
        "gradient_checkpointing": device == "cuda",
    }
    asked = {name: value for name in chosen if (value := _value(config, name)) is not None}
    dtype = config.dtype if config.dtype != "auto" else ("bf16" if bf16 else "fp32")
    return replace(config, **{**chosen, **asked, "dtype": dtype})


def described(config: TrainConfig, device: str) -> str:
    """Return the chosen settings in one line for display."""
    checkpointing = "on" if config.gradient_checkpointing else "off"
    return (
        f"{config.method} of {config.role} on {device}: weights in {config.dtype}, batch "
        f"{config.batch} x {config.accumulation}, learning rate {config.learning_rate:g}, beta "
        f"{config.beta:g}, gradient checkpointing {checkpointing}"
    )


def _value(config: TrainConfig, name: str) -> Any:
    values: dict[str, Any] = config.__dict__
    return values[name]


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigRefused(
            f"{path}: {error.strerror or error}: expected settings as YAML",
            code="unreadable_config",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise ConfigRefused(f"{path} is not valid YAML: {said}", code="unreadable_config") from None
    if found is not None and not isinstance(found, dict):
        raise ConfigRefused(
            f"{path}: expected lines of `setting: value`, got {type(found).__name__}",
            code="unreadable_config",
        )
    return found or {}
