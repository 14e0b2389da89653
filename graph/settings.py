"""Settings of a process, from environment variables that begin with PATLM_.

A variable or keyword that does not exist is refused by name: a mistyped one would silently leave
everything as it was. An empty variable is one that is not set; an empty keyword is refused, for it
would mean the sample corpus, or the working folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import platformdirs
from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ..models.encoders.open import forms_of_encoders
from ..models.open import forms_of_names, server_of
from ..models.tracing import Tracing
from ..nodes.dependencies import SizeLimits
from ..nodes.errors import SettingsError, say_unknown
from ..nodes.guards.personal_data import COPIED_WORDS, KINDS, GuardSettings, read_kinds
from ..stores.errors import shortened
from ..stores.search.request import MIN_AUTHORS
from ..stores.values import MAX_CHARACTERS
from .encoders import OWN

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

PREFIX = "PATLM_"

OTHER_VARIABLES: Mapping[str, str] = {
    "PATLM_COPIES": "file that lists where texts were copied to, for `patlm forget`",
    "PATLM_CACHE": "folder of converted models and of the sample corpus's store",
    "PATLM_DATA": "folder of the benchmarks' data",
    "PATLM_WORDNET": "folder of WordNet, for METEOR",
    "PATLM_CHROMIUM": "browser of the tests",
    "PATLM_BIN": "folder of the program, for scripts",
}
"""Variables that are no field of `Settings`, and what they are: read where they are needed."""

ROLES = ("style", "preference", "integrate")


class Settings(BaseSettings):
    """Settings of a process; each field is read from PATLM_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid"
    )

    store: str | None = Field(
        None, description="Directory or object-store URI of the texts; none: the sample corpus."
    )
    model: str = Field(
        "auto",
        description=f"{forms_of_names()}.",
    )
    model_style: str | None = Field(
        None, description="Model of the role style; none: PATLM_MODEL. The same for the next two."
    )
    model_preference: str | None = Field(None, description="Model of the role preference.")
    model_integrate: str | None = Field(None, description="Model of the role integrate.")
    base_url: str | None = Field(
        None,
        description="Server of a provider:model, as http://host:port/v1; none: the provider's.",
    )
    encoder: str = Field("bundled", description=f"Topic encoder: {forms_of_encoders()}.")
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
    share: bool = Field(
        False,
        description="Whether texts that an app adds may be evidence for other users, where the "
        "call does not say.",
    )
    min_authors: int = Field(
        MIN_AUTHORS,
        ge=1,
        le=32,
        description="Authors whose texts a preference needs at least, else that side abstains.",
    )
    personal_data: str = Field(
        "all",
        description="What is replaced in other people's texts before anything reads them: all, "
        f"off, or some of {', '.join(KINDS)}, with commas between.",
    )
    copied_words: int = Field(
        COPIED_WORDS,
        ge=0,
        description="Words in a row of somebody else's text that a summary or draft may not have; "
        "0: they are not compared.",
    )
    max_title: int = Field(
        500, ge=1, le=MAX_CHARACTERS, description="Characters of a request's title."
    )
    max_text: int = Field(
        MAX_CHARACTERS,
        ge=1,
        le=MAX_CHARACTERS,
        description="Characters of a request's text, and of its instruction.",
    )
    max_batch: int = Field(1_000, ge=1, description="Requests of one call of abatch.")
    max_added: int = Field(10_000, ge=1, description="Texts of one call of add_many.")
    max_waiting: int = Field(
        4_096, ge=1, description="Requests under way at once; one more is refused."
    )
    otel: bool = Field(
        False, description="One OpenTelemetry span for each call of a model that is loaded here."
    )
    tracing: Tracing = Field(
        "redacted",
        description="What LangSmith is sent where its tracing is switched on: off (nothing), "
        "redacted (one run of ids and counts), on (all texts of a run, other people's too).",
    )
    adapters: Path | None = Field(
        None, description="Folder of the adapters; none: a place of the user's (`adapters_folder`)."
    )

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, given: Any) -> Any:
        """Refuse what does not exist, in the keywords and in the environment, and what is empty.

        Raises:
            SettingsError: A name that does not exist, or an empty value.
        """
        for name, value in given.items():
            if name not in cls.model_fields:
                raise SettingsError(say_unknown("setting", name, cls.model_fields))
            if isinstance(value, str) and not value.strip():
                raise SettingsError(f"{name}: the value is empty: give one, or leave {name} out")
        check_variables(os.environ)
        return given

    @field_validator("personal_data")
    @classmethod
    def _only_kinds(cls, said: str) -> str:
        read_kinds(said)
        return said

    @property
    def guards(self) -> GuardSettings:
        """What of other people's texts is replaced, and may not be repeated."""
        return GuardSettings(read_kinds(self.personal_data), self.copied_words)

    @property
    def size_limits(self) -> SizeLimits:
        """How long a request's texts may be."""
        return SizeLimits(title=self.max_title, text=self.max_text)

    def for_role(self, role: str) -> Self:
        """Return the settings that open the model of a role: its name in `model`, no other's.

        `base_url` stays with models of the provider that it belongs to: the first one named.
        """
        named = [self.model, *filter(None, (getattr(self, f"model_{each}") for each in ROLES))]
        name = getattr(self, f"model_{role}") or self.model
        served = next(filter(None, map(server_of, named)), None)
        keeps_url = served is None or server_of(name) == served
        alone = {f"model_{each}": None for each in ROLES}
        changes = {"model": name, "base_url": self.base_url if keeps_url else None}
        return self.model_copy(update={**alone, **changes})

    def for_one_model(self) -> Self:
        """Return the settings if they name one model for all roles.

        Raises:
            SettingsError: They name a role's own model, which would be ignored.
        """
        own = [f"{PREFIX}MODEL_{role.upper()}" for role in ROLES if getattr(self, f"model_{role}")]
        if own:
            raise SettingsError(
                f"one model serves all roles here: unset {', '.join(own)} and name it in "
                f"{PREFIX}MODEL"
            )
        return self


def check_variables(environment: Iterable[str]) -> None:
    """Check the names of environment variables.

    Raises:
        SettingsError: One begins with PATLM_ and does not exist.
    """
    known = [*(f"{PREFIX}{name.upper()}" for name in Settings.model_fields), *OTHER_VARIABLES]
    for name in environment:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            says = say_unknown("variable", name, known, alike=0.8)  # all begin alike
            raise SettingsError(f"{says} (unset it, or rename it)")


def adapters_folder(named: Path | None = None) -> Path:
    """Return the folder of adapters: the given one, or `patlm/adapters` in the user's data folder.

    Args:
        named: `Settings.adapters`, or an option of a command.
    """
    return named.expanduser() if named else platformdirs.user_data_path("patlm") / "adapters"


def read_roles(roles: object) -> dict[str, str | BaseChatModel]:
    """Return the models of roles, or their names.

    Raises:
        SettingsError: They are no mapping, or of a role that does not exist.
    """
    if roles is not None and not isinstance(roles, Mapping):
        raise SettingsError(f"roles: expected models by role, got {type(roles).__name__}")
    for role in roles or {}:
        if role not in ROLES:
            raise SettingsError(say_unknown("role", role, ROLES))
    found = {role: read_model(role, each) for role, each in (roles or {}).items()}
    return {role: each for role, each in found.items() if each is not None}


def read_model(name: str, given: object) -> str | BaseChatModel | None:
    """Return the model of a keyword, or its name.

    Raises:
        SettingsError: It is neither.
    """
    if given is None or isinstance(given, str):
        return given
    from langchain_core.language_models import BaseChatModel

    if isinstance(given, Path):
        return str(given)
    if isinstance(given, BaseChatModel):
        return given
    raise SettingsError(
        f"{name}: expected a model's name, a folder or a LangChain BaseChatModel, got "
        f"{shortened(given)}"
    )
