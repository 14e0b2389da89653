"""Open the language model and adapters of a measurement, with cached answers.

The cache key holds everything that determines an answer: weights, number format and adapters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..graph.adapters import ServedAdapters
from ..graph.open import open_chat
from ..graph.settings import ROLES, Settings, adapters_folder
from ..models.open import is_local, model_name
from ..stores.adapters.registry import AdapterRegistry
from .cache import Answers, RememberedChat
from .errors import EvaluationError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

NONE, PROMOTED = "none", "promoted"


class UnfitAdapter(EvaluationError):
    """An adapter was trained on the targets, or for another role."""

    code = "adapter_unfit"


def named_adapters(asked: str, settings: Settings, model: BaseChatModel) -> dict[str, str]:
    """Return the requested adapter of each role.

    Args:
        asked: `none`, `promoted`, or `role@step` separated by commas.
        settings: Settings with the location of the adapters.
        model: The language model: promoted adapters of other models are ignored.

    Raises:
        UnfitAdapter: Two adapters have the same role, or the role does not exist.
        AdapterError: A name is invalid, or no such adapter exists.
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
                f"adapter {name} can't be used: name at most one for each of {', '.join(ROLES)}"
            )
        found[adapter.role] = name
    return found


def check_splits(
    settings: Settings, adapters: Mapping[str, str], splits: Mapping[str, str]
) -> None:
    """Refuse adapters that were trained under other splits of the same data.

    Args:
        settings: Settings with the location of the adapters.
        adapters: Adapters in use.
        splits: Fingerprint of the splits of each data set.

    Raises:
        UnfitAdapter: An adapter was trained under other splits.
    """
    registry = AdapterRegistry(adapters_folder(settings.adapters))
    for name in adapters.values():
        made = registry.get(name).manifest.split
        if made is not None and made not in splits.values():
            known = ", ".join(f"{data} {split}" for data, split in splits.items())
            raise UnfitAdapter(
                f"adapter {name} was trained under the splits {made}, and what is to be measured "
                f"has others ({known}): it may have seen the targets; measure it on the data that "
                "it was trained for"
            )


def identity_of(model: BaseChatModel, settings: Settings, adapters: Mapping[str, str]) -> str:
    """Return everything that determines a model's answers: weights, number format, adapters.

    Args:
        model: The language model.
        settings: Settings it was opened with.
        adapters: Adapters in use, by role.
    """
    return "\x1f".join([*_base_identity(model, settings), *_weights(settings, adapters)])


def _base_identity(model: BaseChatModel, settings: Settings) -> list[str]:
    if is_local(model):
        return [model.fingerprint, number_format_of(model) or ""]
    return [settings.model, settings.base_url or "", model_name(model)]


def number_format_of(model: BaseChatModel) -> str | None:
    """Return the number format of a model's weights; None if they are not loaded locally."""
    if not is_local(model):
        return None
    return str(model.llm.pipeline.model.dtype).removeprefix("torch.")


def _weights(settings: Settings, adapters: Mapping[str, str]) -> list[str]:
    """Return a hash of each adapter's weights: a name may have meant other weights before."""
    registry = AdapterRegistry(adapters_folder(settings.adapters))
    said = []
    for role, name in sorted(adapters.items()):
        files = sorted(registry.get(name).manifest.files.items())
        said.append(f"{role} {hashlib.sha1(repr(files).encode()).hexdigest()[:16]}")
    return said


ANSWERS = "answers.sqlite"
_PYTHON = "python:"


@dataclass(frozen=True)
class AskedModel:
    """The language model of a run.

    Attributes:
        chat: Chat model of all roles, with cached answers.
        name: Name of the model.
        dtype: Number format of its weights; None if they are not loaded locally.
        adapters: Adapters in use, by role.
    """

    chat: RememberedChat
    name: str
    dtype: str | None
    adapters: Mapping[str, str]


@contextmanager
def open_asked_model(settings: Settings, adapters: str, cache: Path) -> Iterator[AskedModel]:
    """Open a language model with its cached answers. Blocks.

    Answers of a `python:` factory are cached for one run only: its code may change.

    Args:
        settings: Model, number format and location of the adapters.
        adapters: See `named_adapters`.
        cache: Folder of the answers.

    Raises:
        ModelError: The model can't be opened.
        AdapterError: An adapter is missing or damaged.
        UnfitAdapter: A named adapter can't be used.
        AnswersLost: The cache can't be used.
    """
    lasting = not settings.model.startswith(_PYTHON)
    with (
        open_chat(settings) as model,
        closing(Answers(cache / ANSWERS if lasting else None)) as answers,
    ):
        chosen = named_adapters(adapters, settings, model)
        chat = RememberedChat(model, identity_of(model, settings, chosen), answers)
        yield AskedModel(chat, model_name(model), number_format_of(model), chosen)
