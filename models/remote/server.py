"""Which server a remote model is at, and how it wants to be opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

_OPENAI_URLS = ("OPENAI_API_BASE", "OPENAI_BASE_URL")  # in the order of langchain-openai
_NO_KEY = "none"


@dataclass(frozen=True)
class Server:
    """Where calls go.

    Attributes:
        provider: As `init_chat_model` names it; "openai" speaks OpenAI's API, whoever serves it.
        model: What the provider calls the base model.
        base_url: Address of a server of one's own; None: the provider's.
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
        """Whether it takes an adapter as model name, and gives log-probabilities OpenAI's way."""
        return self.provider == "openai"

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `init_chat_model`."""
        # Ours are the only retries: those of an SDK inside them would multiply.
        options: dict[str, Any] = {"max_retries": 0}
        if self.base_url is not None:
            options["base_url"] = self.base_url
            if self.speaks_openai and not os.environ.get("OPENAI_API_KEY"):
                options["api_key"] = _NO_KEY  # the SDK insists on one, a server of one's own not
        return options

    def __str__(self) -> str:
        return f"{self.model} at {self.base_url or self.provider}"
