"""The rule of source ids: which texts an `add` keeps, replaces, and gives another id.

A source names its texts, say by the numbers of reviews. The rule, for the texts of one author:

1. A text is kept once, whatever ids it comes under, and then has all of these ids.
2. An id means the newest text. A text that comes under an id takes it from the one that had it, and
   one that has lost its last id is removed: it was replaced.
3. An id that names several texts, in the store or at once, is a thread's, say: it takes nothing.
   Nor does an id that the same call has used before.
4. What a call brings is held after it, even if its last id was taken.

`tests/stores/texts/test_source_ids.py` holds it against a small model of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .types import Text

SEVERAL = "\x1f"
"""Begins a stored list of several ids; no id does, for white space is stripped from ids."""

AFTER_SEVERAL = " "
"""Stored lists sort between `SEVERAL` and this."""

_Key = tuple[str, str, str]


def stored_form(ids: Sequence[str]) -> str | None:
    """Return the ids of a text as the column `source_id` holds them."""
    if len(ids) > 1:
        return SEVERAL + json.dumps(list(ids), ensure_ascii=False)
    return (ids[0] or None) if ids else None


def read_stored(value: str | None) -> tuple[str, ...]:
    """Return the ids that the column `source_id` holds."""
    if not value:
        return ()
    return tuple(json.loads(value[1:])) if value.startswith(SEVERAL) else (value,)


def with_ids(text: Text, ids: tuple[str, ...]) -> Text:
    """Return a text with some source ids."""
    if ids == text.source_ids:
        return text
    return replace(text, source_id="".join(ids[:1]), more_source_ids=ids[1:])


class Held(NamedTuple):
    """A text that the store holds: its author, its source ids, and whether others may read it."""

    namespace: str
    user_id: str
    ids: tuple[str, ...]
    shared: bool = False


@dataclass(frozen=True)
class Changes:
    """What adding a batch changes.

    Attributes:
        new: For each text that the store does not hold, its first place in the batch and its ids.
        ids: The new ids of texts that the store holds, by `text_id`.
        removed: `text_id` of the texts that were replaced.
        other_ids: Duplicates that came under another id than the text has.
    """

    new: Mapping[int, tuple[str, ...]]
    ids: Mapping[str, tuple[str, ...]]
    removed: tuple[str, ...]
    other_ids: int


@dataclass
class CallSoFar:
    """What a call has brought in earlier batches, as hashes: a call may be a file of millions.

    Attributes:
        used: The ids it has used.
        brought: The texts it brought without an id although they have one in the store.
    """

    used: set[int] = field(default_factory=set)
    brought: set[int] = field(default_factory=set)

    def note(self, batch: Iterable[Text], held: Mapping[str, Held]) -> None:
        """Remember a batch, and which of its texts have an id in the store that they came without.

        Args:
            batch: The batch.
            held: What the store held before it.
        """
        for text in batch:
            if text.source_id:
                self.used.add(hash(_key(text)))
            elif text.text_id in held and held[text.text_id].ids:
                self.brought.add(hash(text.text_id))


def plan(batch: Sequence[Text], held: Mapping[str, Held], so_far: CallSoFar) -> Changes:
    """Apply the rule to a batch.

    Args:
        batch: Texts that are brought.
        held: By `text_id`, of what the store holds: these texts, and all that have one of their
            ids.
        so_far: The earlier batches of the same call.
    """
    ids = {text_id: list(each.ids) for text_id, each in held.items()}
    came: dict[str, int] = {}
    for place, text in enumerate(batch):
        came.setdefault(text.text_id, place)
    removed = []
    for key, old in _taken(batch, held, so_far):
        ids[old].remove(key[2])
        if not ids[old] and old not in came and hash(old) not in so_far.brought:
            removed.append(old)
    other_ids = 0
    for text in batch:
        of_text = ids.setdefault(text.text_id, [])
        if text.source_id and text.source_id not in of_text:
            other_ids += bool(of_text)
            of_text.append(text.source_id)
    gone = set(removed)
    return Changes(
        new={at: tuple(ids[text_id]) for text_id, at in came.items() if text_id not in held},
        ids={
            text_id: tuple(ids[text_id])
            for text_id, each in held.items()
            if text_id not in gone and tuple(ids[text_id]) != each.ids
        },
        removed=tuple(removed),
        other_ids=other_ids,
    )


def made_private(
    changes: Changes, batch: Iterable[Text], held: Mapping[str, Held]
) -> Iterator[str]:
    """Yield the replaced texts that others could read and whose place a private text takes.

    Args:
        changes: What `plan` returned.
        batch: The batch.
        held: As for `plan`.
    """
    private = {_key(text) for text in batch if text.source_id and not text.shared}
    for text_id in changes.removed:
        old = held[text_id]
        keys = {(old.namespace, old.user_id, source_id) for source_id in old.ids}
        if old.shared and not keys.isdisjoint(private):
            yield text_id


def _taken(
    batch: Sequence[Text], held: Mapping[str, Held], so_far: CallSoFar
) -> list[tuple[_Key, str]]:
    """Return the ids that are taken from a text, and from which."""
    named: dict[_Key, set[str]] = {}
    for text in batch:
        if text.source_id:
            named.setdefault(_key(text), set()).add(text.text_id)
    former: dict[_Key, list[str]] = {}
    for text_id, each in held.items():
        for source_id in each.ids:
            former.setdefault((each.namespace, each.user_id, source_id), []).append(text_id)
    return [
        (key, former[key][0])
        for key, texts in named.items()
        if len(texts) == len(former.get(key, ())) == 1
        and former[key][0] not in texts
        and hash(key) not in so_far.used
    ]


def _key(text: Text) -> _Key:
    return (text.namespace, text.user_id, text.source_id)
