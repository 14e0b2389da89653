"""The adapters that a command's `--adapters` names, and what tells models with them apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..graph.opening import ROLES
from ..graph.served_adapters import ServedAdapters
from ..graph.settings import Settings, adapters_folder
from ..models.chat import model_name
from ..models.local_chat import LocalChatModel
from ..stores.adapters import AdapterRegistry
from .errors import TrainingError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

NONE, PROMOTED = "none", "promoted"


class UnfitAdapter(TrainingError):
    """An adapter that was trained on what is to be measured, or for another role."""


def named_adapters(asked: str, settings: Settings, model: BaseChatModel) -> dict[str, str]:
    """Return the adapter of each role that is asked for.

    Args:
        asked: `none`, `promoted`, or `role@step` with commas between.
        settings: Where adapters are.
        model: The language model: promoted ones that were made for another are left aside.

    Raises:
        UnfitAdapter: Two are named for one role, or one for a role that is not there.
        AdapterError: A name is none, or nothing is kept under it.
    """
    if asked == NONE:
        return {}
    folder = adapters_folder(settings.adapters)
    if asked == PROMOTED:
        served = ServedAdapters(folder)
        return dict(served.promoted_for(dict.fromkeys(ROLES, model))())
    found: dict[str, str] = {}
    for name in (part.strip() for part in asked.split(",")):
        adapter = AdapterRegistry(folder).get(name)
        if adapter.role in found or adapter.role not in ROLES:
            raise UnfitAdapter(
                f"adapter {name} can't be used: name one at most for each of {', '.join(ROLES)}"
            )
        found[adapter.role] = name
    return found


def check_splits(
    settings: Settings, adapters: Mapping[str, str], splits: Mapping[str, str]
) -> None:
    """Refuse adapters that were trained under other splits of the same data.

    Args:
        settings: Where adapters are.
        adapters: Those in use.
        splits: Fingerprint of the splits of each data set.

    Raises:
        UnfitAdapter: One was.
    """
    registry = AdapterRegistry(adapters_folder(settings.adapters))
    for name in adapters.values():
        made = registry.get(name).manifest.split
        if made is not None and made not in splits.values():
            told = ", ".join(f"{data} {split}" for data, split in splits.items())
            raise UnfitAdapter(
                f"adapter {name} was trained under the splits {made}, and what is to be measured "
                f"has others ({told}): it may have seen the targets; measure it on the data that "
                "it was trained for"
            )


def identity_of(model: BaseChatModel, settings: Settings, adapters: Mapping[str, str]) -> str:
    """Return what decides a model's answers: weights, number format, and those of its adapters.

    Args:
        model: The language model.
        settings: How it was opened.
        adapters: In use, by role.
    """
    return "\x1f".join([*_base_identity(model, settings), *_weights(settings, adapters)])


def _base_identity(model: BaseChatModel, settings: Settings) -> list[str]:
    if isinstance(model, LocalChatModel):
        return [model.fingerprint, number_format_of(model) or ""]
    return [settings.model, settings.base_url or "", model_name(model)]


def number_format_of(model: BaseChatModel) -> str | None:
    """Return the number format of a model's weights; None where they are not loaded here."""
    if not isinstance(model, LocalChatModel):
        return None
    return str(model.llm.pipeline.model.dtype).removeprefix("torch.")


def _weights(settings: Settings, adapters: Mapping[str, str]) -> list[str]:
    """Return what tells the weights of adapters apart from others of their names."""
    registry = AdapterRegistry(adapters_folder(settings.adapters))
    said = []
    for role, name in sorted(adapters.items()):
        files = sorted(registry.get(name).manifest.files.items())
        said.append(f"{role} {hashlib.sha1(repr(files).encode()).hexdigest()[:16]}")
    return said
