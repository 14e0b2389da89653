"""Texts on other topics, whoever wrote them: what a topic's own texts are held against."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .author_walk import AUTHOR_COLUMNS, AsDrawn, first_texts
from .choices import Choice
from .records import Found, Hit
from .rows import texts_of_rows
from .snapshots import Snapshots
from .unseen import Unseen


async def draw_elsewhere(
    snapshots: Snapshots, unseen: Unseen, topic_id: str | None, k: int, choice: Choice
) -> Found:
    """Return k texts of k other people, none of them on the topic, drawn at random."""
    history = unseen.history
    users = await snapshots.users(history.namespace)
    candidates = users.outside(topic_id)
    if history.user_id in users.row:
        candidates[users.row[history.user_id]] = False
    rows = np.flatnonzero(candidates)
    request = (history.namespace, history.user_id, topic_id)
    order = AsDrawn(rows[choice.shuffled(len(rows), *request)])

    def pick(found: pa.Table) -> dict[str, Hit]:
        if topic_id:
            found = found.filter(pc.not_equal(found.column("topic_id"), topic_id))
        texts = texts_of_rows(found)
        drawn = [texts[at] for at in choice.shuffled(len(texts), *request)]
        return {text.user_id: Hit(text, 0.0, "drawn among texts on other topics") for text in drawn}

    async def read(batch: list[str]) -> pa.Table:
        rows = await snapshots.shared_texts(history.namespace, batch, AUTHOR_COLUMNS)
        return rows.sort_by("text_id")  # what is drawn must not hang on where a text lies

    hits = await first_texts(read, unseen, users, order, k, pick)
    return Found(hits=tuple(hits), pool_size=len(order))
