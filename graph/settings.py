"""Settings of a process, from environment variables that begin with PATLM_."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ..models.open import forms_of_names
from .encoders import OWN


class Settings(BaseSettings):
    """Settings of a process; each field is read from PATLM_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="PATLM_", frozen=True, extra="ignore")

    store: str | None = Field(
        None, description="Directory or object-store URI of the texts; none: the sample corpus."
    )
    model: str = Field(
        "auto",
        description=f"{forms_of_names()}.",
    )
    base_url: str | None = Field(
        None,
        description="Server of a provider:model, as http://host:port/v1; none: the provider's.",
    )
    encoder: str = Field("bundled", description="Topic encoder: bundled, a path or a hub id.")
    style_encoder: str = Field(
        OWN,
        description="Style encoder: store (the one that the store is filled with), a folder that "
        "`patlm train-encoder` wrote, or a path or hub id of a published one.",
    )
    dtype: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Number format of the language model; auto: the faster one here."
    )
    budget: Literal["auto", "small", "medium", "large"] = Field(
        "auto",
        description="Length of prompts and drafts: small, medium, large, or auto, by the size of a "
        "local model; large for a server's.",
    )
    prompts: Path | None = Field(
        None, description="Folder of files that replace the wording of prompts; none: ours."
    )
    trace: Path | None = Field(None, description="Folder for the record of each run; none: off.")
    otel: bool = Field(
        False, description="One OpenTelemetry span for each call of a model that is loaded here."
    )
    adapters: Path | None = Field(
        None, description="Folder of the adapters; none: a place of the user's (`adapters_folder`)."
    )


def adapters_folder(named: Path | None = None) -> Path:
    """Return the folder of adapters: the given one, or `patlm/adapters` in the user's data folder.

    Args:
        named: `Settings.adapters`, or an option of a command.
    """
    return named.expanduser() if named else platformdirs.user_data_path("patlm") / "adapters"
