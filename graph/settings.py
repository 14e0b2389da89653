"""What a process is set up with: environment variables that begin with PATLM_."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where texts and models come from (each field is read from PATLM_<NAME>)."""

    model_config = SettingsConfigDict(env_prefix="PATLM_", frozen=True, extra="ignore")

    store: str | None = Field(
        None, description="Directory or object-store URI of the texts; none: the sample corpus."
    )
    model: str = Field(
        "bundled",
        description="bundled, a path, a hub id, provider:model, or python:package.module:factory.",
    )
    encoder: str = Field("bundled", description="Topic encoder: bundled, a path or a hub id.")
    dtype: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Number format of the language model; auto: the faster one here."
    )
    trace: Path | None = Field(None, description="Folder for the record of each run; none: off.")
