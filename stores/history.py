"""The requester's side of a user: what may be known of somebody when writing for them.

Own history is the user's texts less targets, less those on the requested topic, less exact
duplicates of a target. The rest of the user's texts only says what has to be left out.
"""

from __future__ import annotations

import pyarrow as pa

from .records import History, Sums, Text, Vectors
from .rows import PLAIN_COLUMNS, texts_of_rows, vectors_of
from .sums import exact_sum
from .words import bare

HISTORY_COLUMNS = (*PLAIN_COLUMNS, "style", "topic")


def history_of_rows(rows: pa.Table, namespace: str, user_id: str, topic_id: str | None) -> History:
    """Return the history that all of one user's rows of the table `texts` make.

    Args:
        rows: All of the user's rows.
        namespace: The tenant.
        user_id: The requester.
        topic_id: What the request is about; None or "" where that is not known.
    """
    texts = texts_of_rows(rows)
    style, topic = vectors_of(rows, "style"), vectors_of(rows, "topic")
    hidden = frozenset(bare(text.body) for text in texts if text.target) - {""}
    own = [
        place
        for place, text in enumerate(texts)
        if not text.target
        and not (topic_id and text.topic_id == topic_id)
        and bare(text.body) not in hidden
    ]
    own.sort(key=lambda place: _time(texts[place]), reverse=True)
    return History(
        namespace=namespace,
        user_id=user_id,
        texts=tuple(texts[place] for place in own),
        style=style[own],
        topic_vectors=topic[own],
        contributed=_contributed(texts, topic),
        hidden_bodies=hidden,
    )


def _time(text: Text) -> tuple[float, int, str]:
    """Order texts by time where it is given, else by place; texts with a time come later."""
    timestamp = float("-inf") if text.timestamp is None else float(text.timestamp)
    return (timestamp, text.position, text.text_id)


def _contributed(texts: list[Text], vectors: Vectors) -> dict[str, tuple[Sums, int]]:
    rows: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if text.shared and text.topic_id:
            rows.setdefault(text.topic_id, []).append(place)
    return {topic: (exact_sum(vectors[at]), len(at)) for topic, at in rows.items()}
