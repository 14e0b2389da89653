"""The language model of a measurement: opened by name, remembered by what decides its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..graph.opening import open_chat
from ..graph.settings import Settings
from ..models.chat import model_name
from .answers import Answers
from .named_adapters import identity_of, named_adapters, number_format_of
from .remembered_chat import RememberedChat

ANSWERS = "answers.sqlite"
_PYTHON = "python:"


@dataclass(frozen=True)
class AskedModel:
    """The language model of a run.

    Attributes:
        chat: Answers in all roles, and remembers.
        name: What it is called.
        dtype: Its number format; None where it is not loaded here.
        adapters: In use, by role.
    """

    chat: RememberedChat
    name: str
    dtype: str | None
    adapters: Mapping[str, str]


@contextmanager
def open_asked_model(settings: Settings, adapters: str, cache: Path) -> Iterator[AskedModel]:
    """Open a language model with its answers of earlier runs. Blocks.

    Those of a `python:` factory are remembered for one run only: its code may change.

    Args:
        settings: Which model, its number format, where adapters are.
        adapters: See `named_adapters`.
        cache: Folder of the answers.

    Raises:
        ModelError: It can't be opened.
        AdapterError: An adapter is not there, or damaged.
        UnfitAdapter: Adapters are named that can't be used.
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
