"""The server of a remote model: how it is opened, its words for options, and what it refused."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_OPENAI_URLS = ("OPENAI_API_BASE", "OPENAI_BASE_URL")  # in the order of langchain-openai
_NO_KEY = "none"

SECONDS_TO_ASK = 3.0
"""Time that a server has to say how large its window is."""


@dataclass(frozen=True)
class Dialect:
    """How a provider's class is opened and what it calls the options of a call.

    Attributes:
        options: Keyword of each option that it has.
        within: Keyword under which they stand together; None: each is a keyword of its own.
        retries: Keyword that switches the retries of its SDK off; None if it has none.
        version_in_url: Whether a base URL ends with a version ("/v1"); None: either way.
        reasons_unasked: Whether models that can reason do so without being asked to.
    """

    options: Mapping[str, str]
    within: str | None = None
    retries: str | None = "max_retries"
    version_in_url: bool | None = None
    reasons_unasked: bool = True


_USUAL = {name: name for name in ("max_tokens", "temperature", "top_p", "seed", "stop")}

DIALECTS: Mapping[str, Dialect] = {
    "openai": Dialect({**_USUAL, "logprobs": "logprobs"}, version_in_url=True),
    "anthropic": Dialect(
        {name: name for name in _USUAL if name != "seed"},
        version_in_url=False,
        reasons_unasked=False,
    ),
    "google_genai": Dialect({**_USUAL, "max_tokens": "max_output_tokens"}),
    "mistralai": Dialect({**_USUAL, "seed": "random_seed"}),
    "ollama": Dialect(
        {**_USUAL, "max_tokens": "num_predict", "num_ctx": "num_ctx"},
        within="options",
        retries=None,
        version_in_url=False,
    ),
}
"""Providers whose words differ; any other is spoken to in OpenAI's."""

_OTHERS = Dialect(_USUAL)

WIRE_NAMES: Mapping[str, tuple[str, ...]] = {
    "logprobs": ("logprobs", "top_logprobs"),
    "seed": ("seed", "random_seed"),
    "top_p": ("top_p", "topP"),
    "stop": ("stop", "stop_sequences", "stopSequences"),
    "temperature": ("temperature",),
    "num_ctx": ("num_ctx",),
    "max_tokens": (
        *("max_tokens", "max_completion_tokens", "max_output_tokens"),
        *("maxOutputTokens", "num_predict"),
    ),
}
"""What servers call each option; of several that a refusal names, the first here is left out."""

_REFUSING = re.compile(
    r"unsupported|not support|unknown (?:name|field|parameter)|unrecogni[sz]ed|unexpected|extra"
    r"|not permitted|not allowed|deprecated|cannot both|only the default|invalid param|no such",
    re.IGNORECASE,
)


def refused_option(says: str, param: str | None, sent: Collection[str]) -> str | None:
    """Return the option of a call that a server refuses, by its words; None if it is another fault.

    Args:
        says: The server's message.
        param: The parameter that its error names, if it names one.
        sent: Our names of the options that were sent.
    """
    if not _REFUSING.search(says):
        return None
    for option, names in WIRE_NAMES.items():
        if option not in sent:
            continue
        # "stop" is a word of every language; it must be marked as a name.
        marked = "|".join(rf"['\"`]{name}['\"`]|\b{name}:" for name in names)
        plain = "|".join(rf"\b{name}\b" for name in names if name != "stop")
        if param in names or re.search(f"{marked}|{plain}", says):
            return option
    return None


# Models that reason before they answer and of which no profile says so, by common names.
_REASONING_NAMES = re.compile(
    r"deepseek-?r1|\bqwq|qwen3(?!.*instruct)|magistral|gpt-oss|\bo[1345]\b|\bgpt-5|reason|think",
    re.IGNORECASE,
)


@dataclass
class ServerMemory:
    """What a process has learned of a server's model.

    Attributes:
        refused: Options that it refuses, and its words.
        old_max_tokens: Whether it takes `max_tokens` and not `max_completion_tokens`.
        unmarked: Whether it ends reasoning whose beginning is not marked; None: not known yet.
        num_ctx: The window that was asked for (Ollama).
    """

    refused: dict[str, str] = field(default_factory=dict)
    old_max_tokens: bool = False
    unmarked: bool | None = None
    num_ctx: int = 8192


@cache
def memory_of(server: Server) -> ServerMemory:
    """Return what this process has learned of a server's model."""
    return ServerMemory()


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
    def dialect(self) -> Dialect:
        """What its provider calls things."""
        return DIALECTS.get(self.provider, _OTHERS)

    @property
    def speaks_openai(self) -> bool:
        """Whether it takes an adapter as model name and gives log-probabilities as OpenAI does."""
        return self.provider == "openai"

    @property
    def is_own(self) -> bool:
        """Whether it is not the provider's."""
        return self.base_url is not None or self.provider == "ollama"

    def reasons(self, profile: Mapping[str, Any]) -> bool:
        """Return whether the model reasons before it answers, by its profile or its name."""
        can = bool(profile.get("reasoning_output"))
        return can and self.dialect.reasons_unasked or bool(_REASONING_NAMES.search(self.model))

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `init_chat_model`."""
        options: dict[str, Any] = {}
        if self.dialect.retries is not None:  # retries of an SDK inside ours would multiply
            options[self.dialect.retries] = 0
        if self.base_url is not None:
            options["base_url"] = self.base_url
            if self.speaks_openai and not os.environ.get("OPENAI_API_KEY"):
                options["api_key"] = _NO_KEY  # the SDK requires one, one's own server does not
        return options

    def hint(self) -> str:
        """Return what may be wrong with the base URL; empty if it looks right."""
        wants = self.dialect.version_in_url
        if self.base_url is None or wants is None:
            return ""
        parts = urlsplit(self.base_url)
        path = parts.path.rstrip("/")
        if wants and not path:
            better = urlunsplit(parts._replace(path="/v1"))
            return f"; the base URL has no /v1: try {better}"
        if not wants and path.endswith("/v1"):
            better = urlunsplit(parts._replace(path=path.removesuffix("/v1")))
            return f"; the base URL of {self.provider} has no /v1: try {better}"
        return ""

    def __str__(self) -> str:
        return f"{self.model} at {self.base_url or self.provider}"


def window_of(server: Server, profile: Mapping[str, Any]) -> int | None:
    """Return a model's context window in tokens; None if nobody says. Blocks.

    LangChain's profiles know the providers' models. One's own server is asked, once: vLLM and its
    kin list a model with its length, llama.cpp tells its settings, Ollama shows the model.
    """
    if not server.is_own:
        known = profile.get("max_input_tokens")
        return int(known) if known else None
    return _asked_window(server)


@cache
def _asked_window(server: Server) -> int | None:
    if server.provider == "ollama":
        root = server.base_url or os.environ.get("OLLAMA_HOST") or "http://127.0.0.1:11434"
        shown = _get(f"{_with_scheme(root).rstrip('/')}/api/show", {"model": server.model})
        told = shown.get("model_info") or {}
        return _first_number(value for key, value in told.items() if key.endswith("context_length"))
    if not server.speaks_openai or server.base_url is None:
        return None
    base = server.base_url.rstrip("/")
    listed = _get(f"{base}/models").get("data") or []
    mine: dict[str, Any] = next((each for each in listed if each.get("id") == server.model), {})
    names = ("max_model_len", "context_length", "context_window", "max_context_length")
    served = _first_number(mine.get(name) for name in names)
    if served is not None:
        return served
    props = _get(f"{base.removesuffix('/v1')}/props")
    return _first_number([(props.get("default_generation_settings") or {}).get("n_ctx")])


def _first_number(values: Any) -> int | None:
    return next((int(value) for value in values if isinstance(value, int | float) and value), None)


def _with_scheme(address: str) -> str:
    return address if "://" in address else f"http://{address}"


def _get(url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the JSON object at an address; empty if there is none."""
    headers = {"Content-Type": "application/json"}
    if body is None and (key := os.environ.get("OPENAI_API_KEY")):
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=SECONDS_TO_ASK) as answer:
            found = json.loads(answer.read())
    except (OSError, ValueError):  # no server, no such page, no JSON: nothing is known
        return {}
    return found if isinstance(found, dict) else {}
