"""What one call of a remote model asks for, in the words of its server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .errors import AdapterRefused
from .remote_server import Server
from .sampling import Sampling


@dataclass(frozen=True)
class RemoteOptions:
    """The options of one call.

    Attributes:
        sampling: All of them, checked as a local model checks them.
        given: Names of those that the call set. The others are not sent, so that the server's own
            defaults hold: some models take no temperature but their own.
    """

    sampling: Sampling
    given: frozenset[str]

    @classmethod
    def read(
        cls, options: Mapping[str, Any], stop: Sequence[str] | None, server: Server
    ) -> RemoteOptions:
        """Check the keyword arguments of a call.

        Raises:
            CallRefused: An option that no model of ours has, or a bad value.
            AdapterRefused: The server is not one that takes adapters.
        """
        sampling = Sampling().for_call(options, stop)
        given = {name for name, value in options.items() if value is not None}
        if sampling.stop:
            given.add("stop")
        if sampling.adapter is not None and not server.speaks_openai:
            if not sampling.adapter_fallback:
                raise AdapterRefused(
                    f"adapter {sampling.adapter} can't be named to {server}: only servers of "
                    "OpenAI's API ('openai:NAME' with a base URL) take an adapter as model name; "
                    "leave it out, or pass adapter_fallback=True"
                )
            sampling = replace(sampling, adapter=None)
        return cls(sampling, frozenset(given))

    def on_base(self) -> RemoteOptions:
        """Return the same call of the base model."""
        return replace(self, sampling=replace(self.sampling, adapter=None))

    def for_server(self, server: Server) -> dict[str, Any]:
        """Return what the provider's class takes; `no_repeat_ngram_size` has no word there."""
        wanted = self.sampling
        known: dict[str, Any] = {
            "max_tokens": wanted.max_tokens,
            "temperature": wanted.temperature,
            "top_p": wanted.top_p,
            "seed": wanted.seed,
            "stop": list(wanted.stop),
        }
        sent = {name: value for name, value in known.items() if name in self.given}
        if wanted.adapter is not None:
            sent["model"] = wanted.adapter
        if wanted.capture and server.speaks_openai:
            sent["logprobs"] = True
        return sent
