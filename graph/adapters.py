"""The adapters that a process serves: any by name, and the promoted ones of its models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from ..models.local.adapters import AdapterFiles

_log = logging.getLogger(__name__)


class ServedAdapters:
    """The adapters of a folder, for models to load. Every method blocks.

    Args:
        folder: Folder of the registry; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        from ..stores.adapters.registry import AdapterRegistry

        self._registry = AdapterRegistry(folder)

    def find(self, name: str) -> AdapterFiles:
        """Return the files of an adapter, for a model to load.

        Raises:
            AdapterError: It does not exist, is damaged, or is of a kind that can't be served.
        """
        from ..models.local.adapters import AdapterFiles

        adapter = self._registry.get(name)
        return AdapterFiles(adapter.path, adapter.manifest.base)

    def promoted_for(self, chat: Mapping[str, BaseChatModel]) -> Callable[[], Mapping[str, str]]:
        """Return a function that returns the promoted adapters which fit the models of their roles.

        A promoted adapter of another model stays promoted, is not served, and is logged.

        Args:
            chat: The language model of each role.
        """
        from ..models.open import is_local

        bases = {role: model.fingerprint for role, model in chat.items() if is_local(model)}
        fits: dict[str, bool] = {}

        def promoted() -> dict[str, str]:
            names = self._registry.promoted()
            for role, name in names.items():
                if name not in fits:
                    fits[name] = self._fits(name, role, bases.get(role))
            return {role: name for role, name in names.items() if fits[name]}

        return promoted

    def _fits(self, name: str, role: str, model: str | None) -> bool:
        """Return whether an adapter was trained on a role's model, by its fingerprint."""
        from ..stores.errors import AdapterError

        try:
            base = self._registry.get(name).manifest.base
        except AdapterError:  # each call is refused with the reason, or falls back
            return model is not None
        if base != model:
            running = model or "a model that is not loaded here"
            _log.warning(
                "the promoted adapter %s is left aside: it was made for the base model %s, and the "
                "role %s runs on %s",
                *(name, base, role, running),
            )
        return base == model
