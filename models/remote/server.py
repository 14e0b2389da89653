"""The server of a remote model, and the options to open it with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

_OPENAI_URLS = ("OPENAI_API_BASE", "OPENAI_BASE_URL")  # in the order of langchain-openai
_NO_KEY = "none"


@dataclass(frozen=True)
class Server:
    """The server that answers calls.

    Attributes:
        provider: As `init_chat_model` names it; "openai" is any server of OpenAI's API.
        model: The provider's name of the base model.
        base_url: Address of one's own server; None: the provider's.
    """

    provider: str
    model: str
    base_url: str | None = None

    @classmethod
    def named(cls, name: str, base_url: str | None = None) -> Server:
        """Read `provider:model`.

        Args:
            name: As `init_chat_model` takes it.
            base_url: None: for OpenAI's API the variable OPENAI_BASE_URL, else the provider's own.
        """
        provider, _, model = name.partition(":")
        if base_url is None and provider == "openai":
            base_url = next(filter(None, map(os.environ.get, _OPENAI_URLS)), None)
        return cls(provider, model, base_url)

    @property
    def speaks_openai(self) -> bool:
        """Whether it takes an adapter as model name and gives log-probabilities as OpenAI does."""
        return self.provider == "openai"

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `init_chat_model`."""
        # Retries of an SDK inside ours would multiply.
        options: dict[str, Any] = {"max_retries": 0}
        if self.base_url is not None:
            options["base_url"] = self.base_url
            if self.speaks_openai and not os.environ.get("OPENAI_API_KEY"):
                options["api_key"] = _NO_KEY  # the SDK requires one, one's own server does not
        return options

    def __str__(self) -> str:
        return f"{self.model} at {self.base_url or self.provider}"
