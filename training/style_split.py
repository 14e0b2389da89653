"""Which texts of a store a style encoder learns from, and which decide when it stops."""

from __future__ import annotations

from collections.abc import Iterable

from ..stores.records import Text
from ..stores.splits import Splits


def split_for_style(texts: Iterable[Text], splits: Splits) -> tuple[list[Text], list[Text]]:
    """Return the texts to learn from and those that decide.

    Learning: user and topic in `train`. Deciding: users of `gate`, on any topic but those of
    `report`; texts on gate topics alone would be too few to hear anything.

    Args:
        texts: Of one namespace; texts that are not shared are to be left out by the caller.
        splits: Of the same namespace.
    """
    train, gate = [], []
    for text in texts:
        if not text.topic_id:
            continue
        if splits.may_train(text.user_id, text.topic_id):
            train.append(text)
        elif splits.of_user(text.user_id) == "gate" and splits.of_topic(text.topic_id) != "report":
            gate.append(text)
    return train, gate
