"""What is written down beside an adapter's weights, and how adapters are named: `role@step`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..errors import AdapterNotFound

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
MANIFEST = "manifest.json"
PEOPLE = "trained_on.txt"

FILES = (CONFIG, WEIGHTS)
"""What PEFT saves and the registry keeps; the manifest holds their checksums.

Beside them lies `trained_on.txt` where it is known whose texts trained the adapter.
"""

_ROLE = r"[a-z0-9][a-z0-9-]{0,63}"
_STEP = r"[1-9][0-9]{0,8}"
_NAME = re.compile(f"({_ROLE})@({_STEP})")

Name = Annotated[str, Field(pattern=f"^{_ROLE}@{_STEP}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """Where an adapter comes from and what it was made for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = Field(default=1, description="Schema version.")
    role: str = Field(pattern=f"^{_ROLE}$", description="The job it was trained for.")
    step: int = Field(ge=1, le=999_999_999, description="Its number within the role, from 1.")
    base: str = Field(
        pattern="^[0-9a-f]{8,128}$", description="Fingerprint of its base model, in hex."
    )
    base_name: str = Field(description="What the base model is called, for people.")
    episode_shards: tuple[str, ...] = Field(
        default=(), description="Names of the shards of episodes it was trained on."
    )
    data: str | None = Field(
        default=None, description="Name of the data set it was trained on; none: not known."
    )
    task: str | None = Field(
        default=None, description="The task it was trained for: long, short, rating or free."
    )
    method: str | None = Field(default=None, description="How it was trained: dpo, grpo or sft.")
    split: str | None = Field(
        default=None, description="Fingerprint of the splits it was trained under; none: no split."
    )
    metrics: Mapping[str, JsonValue] = Field(
        default_factory=dict, description="What was measured; what was not is left out or null."
    )
    parent: Name | None = Field(
        default=None, description="The adapter its training went on from; none: new weights."
    )
    created: datetime = Field(
        default_factory=lambda: datetime.now(UTC), description="When it was made, in UTC."
    )
    files: Mapping[str, Sha256] = Field(
        default_factory=dict, description="sha256 of each file, in hex; complete once it is kept."
    )

    @property
    def name(self) -> str:
        """What the adapter is called: `role@step`."""
        return f"{self.role}@{self.step}"


def is_name(name: str) -> bool:
    """Say whether this is the name of an adapter."""
    return _NAME.fullmatch(name) is not None


def parse_name(name: str) -> tuple[str, int]:
    """Return role and step of an adapter's name.

    Raises:
        AdapterNotFound: It is no name, so no adapter has it.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise AdapterNotFound(
            f"no adapter {name!r}: expected role@step, such as style@3, the role in lower-case "
            "letters, digits and '-', the step from 1; `patlm adapters list` names those kept"
        )
    return found[1], int(found[2])
