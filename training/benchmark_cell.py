"""What one data set, task and history are run with: a store, an evaluator, floors, metrics."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..graph.encoders import Encoders
from ..graph.opening import ROLES, chat_role
from ..models.token_count import token_counter
from ..nodes.parts import ChatRole, Parts
from ..nodes.strategies import STRATEGIES, with_oracle
from ..stores.text_store import TextStore
from .benchmark_data import BenchmarkData
from .evaluate import Evaluator
from .history_cut import HistoryCut
from .item_runs import Cell
from .leaks import LeakCheck
from .neighbour_texts import NeighbourTexts
from .remembered_chat import RememberedChat
from .remembered_encoder import RememberedEncoder
from .scoring import Scorer
from .targets import Target

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

WHOLE = "all"
"""The history that is not cut."""


@dataclass(frozen=True)
class Material:
    """What the cells of one data set share.

    Attributes:
        data: The file.
        store: Filled with it.
        style: The store's style encoder.
        topic: The store's topic encoder.
        model: The language model, in front of whatever answers.
        made_of: What decides the results of this data set and model.
    """

    data: BenchmarkData
    store: TextStore
    style: RememberedEncoder
    topic: RememberedEncoder
    model: RememberedChat
    made_of: str

    @classmethod
    def of(
        cls,
        data: BenchmarkData,
        store: TextStore,
        encoders: Encoders,
        model: RememberedChat,
        *,
        about: Sequence[str] = (),
    ) -> Material:
        """Put the material of a data set together.

        Args:
            data: The file.
            store: Filled with it.
            encoders: Of the store.
            model: The language model.
            about: What else decides the results, such as users whose texts are not shared.
        """
        versions = (encoders.style.version, encoders.topic.version)
        made_of = (data.sha1, *data.cleanings, *versions, model.identity, *about)
        return cls(
            data,
            store,
            RememberedEncoder(encoders.style),
            RememberedEncoder(encoders.topic),
            model,
            "\x1f".join(made_of),
        )


def cell_of(material: Material, targets: Sequence[Target], history: str) -> Cell:
    """Return what the items of one task and history are run with.

    Args:
        material: Of the data set.
        targets: All of the task.
        history: Own texts that are known: `all` or a number.
    """
    known = material.store if history == WHOLE else HistoryCut(material.store, int(history))
    real = {target.text.user_id: target.real for target in targets}
    encoders = {"style": material.style, "preference": material.topic}
    parts = Parts(
        store=known,
        style_encoder=material.style,
        topic_encoder=material.topic,
        chat=_chat(material.model),
        count=token_counter(material.model.inner),
        strategies=with_oracle(STRATEGIES, encoders, real),
    )
    wordnet = os.environ.get("PATLM_WORDNET")
    return Cell(
        history=history,
        evaluator=Evaluator(parts),
        neighbours=NeighbourTexts(parts),
        scorer=Scorer(material.style, material.topic, Path(wordnet) if wordnet else None),
        leaks=LeakCheck(material.data.texts),
        made_of="\x1f".join([material.made_of, wordnet or ""]),
    )


def _chat(model: RememberedChat) -> Mapping[str, ChatRole]:
    inner: BaseChatModel = model.inner
    role = replace(chat_role(inner), model=model)
    return dict.fromkeys(ROLES, role)
