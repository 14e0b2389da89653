"""The manifest of an adapter, and adapter names (`role@step`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..errors import InvalidAdapterName, shortened

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
MANIFEST = "manifest.json"
PEOPLE = "trained_on.txt"

FILES = (CONFIG, WEIGHTS)
"""PEFT's files in an adapter's folder; the manifest holds their checksums.

`trained_on.txt` is added if the people whose texts trained the adapter are known.
"""

_ROLE = r"[a-z0-9][a-z0-9-]{0,63}"
_STEP = r"[1-9][0-9]{0,8}"
_NAME = re.compile(f"({_ROLE})@({_STEP})")

Role = Annotated[str, Field(pattern=f"^{_ROLE}$")]
Name = Annotated[str, Field(pattern=f"^{_ROLE}@{_STEP}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """Origin and purpose of an adapter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = Field(default=1, description="Schema version.")
    role: Role = Field(description="Role it was trained for.")
    step: int = Field(ge=1, le=999_999_999, description="Number within the role, from 1.")
    base: str = Field(
        pattern="^[0-9a-f]{8,128}$", description="Fingerprint of the base model, in hex."
    )
    base_name: str = Field(description="Human-readable name of the base model.")
    episode_shards: tuple[str, ...] = Field(
        default=(), description="Names of the episode shards it was trained on."
    )
    data: str | None = Field(
        default=None, description="Name of the data set it was trained on; null if unknown."
    )
    task: str | None = Field(
        default=None, description="The task it was trained for: long, short, rating or free."
    )
    method: str | None = Field(default=None, description="Training method: dpo, grpo or sft.")
    split: str | None = Field(
        default=None, description="Fingerprint of the splits it was trained under; null if none."
    )
    metrics: Mapping[str, JsonValue] = Field(
        default_factory=dict, description="Measured metrics; others are left out or null."
    )
    parent: Name | None = Field(
        default=None, description="Adapter that training started from; null for new weights."
    )
    created: datetime = Field(
        default_factory=lambda: datetime.now(UTC), description="Time of creation, in UTC."
    )
    files: Mapping[str, Sha256] = Field(
        default_factory=dict,
        description="sha256 of each file, in hex; complete once it is in the registry.",
    )

    @property
    def name(self) -> str:
        """Name of the adapter, `role@step`."""
        return f"{self.role}@{self.step}"


def is_name(name: str) -> bool:
    """Return whether this is a valid name of an adapter."""
    return _NAME.fullmatch(name) is not None


def parse_name(name: str) -> tuple[str, int]:
    """Return role and step of an adapter's name.

    Raises:
        InvalidAdapterName: The name is not valid.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise InvalidAdapterName(
            f"no adapter {shortened(name)}: expected role@step, such as style@3, the role in "
            "lower-case letters, digits and '-', the step from 1; `patlm adapters list` "
            "shows all adapters"
        )
    return found[1], int(found[2])
