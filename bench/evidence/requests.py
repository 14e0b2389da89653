"""The requests that evidence is measured on: every text of a person, hidden in its turn.

The store hides it already: own history leaves out what is on the requested topic, nobody is shown
their own texts, and a copy of the hidden text is left out as for a target. People with one text
stand for zero history.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory

from ...stores.datasets.splits import Place, Split, Splits, deal, latest_as_targets
from ...stores.search.words import bare
from ...stores.texts.store import TextStore
from ...stores.types import Encoder, History, Text


@dataclass(frozen=True)
class Asked:
    """One request, and what was really written.

    Attributes:
        text: The hidden text.
        split: The person's, see `requests`.
        history: What is known of the person then.
    """

    text: Text
    split: Split
    history: History


@dataclass(frozen=True)
class Material:
    """One file.

    Attributes:
        name: What its rows are called.
        texts: All of it, targets marked.
        splits: Of these texts.
        store: Filled with them.
    """

    name: str
    texts: Sequence[Text]
    splits: Splits
    store: TextStore


@asynccontextmanager
async def filled(
    name: str, texts: Sequence[Text], style: Encoder, topic: Encoder
) -> AsyncIterator[Material]:
    """Open a store of one file's texts, in a folder that goes with it."""
    marked, splits = divided(texts)
    with TemporaryDirectory() as folder:
        opened = TextStore.open(folder, style_encoder=style, topic_encoder=topic)
        async with opened as store:
            await store.add(marked)
            yield Material(name, marked, splits, store)


def divided(texts: Sequence[Text]) -> tuple[list[Text], Splits]:
    """Return texts with their targets marked, and the splits that they are dealt to."""
    marked = list(texts) if any(text.target for text in texts) else latest_as_targets(texts)
    return marked, deal(Place.of(text) for text in marked)


async def requests(material: Material, splits: Sequence[Split]) -> list[Asked]:
    """Return the requests of some splits, each person's texts that have a title and a topic.

    A request of `report` has its person and its topic there, one of `gate` has its person there
    and its topic not in `report`.
    """
    found = []
    for text in material.texts:
        split = material.splits.of_user(text.user_id)
        held_out = material.splits.of_topic(text.topic_id) == "report"
        if split not in splits or held_out != (split == "report"):
            continue
        if not text.title.strip() or not text.body.strip() or not text.topic_id:
            continue
        history = await material.store.history(text.namespace, text.user_id, topic_id=text.topic_id)
        hidden = history.hidden_bodies | {bare(text.body)}
        own = [at for at, each in enumerate(history.texts) if bare(each.body) != bare(text.body)]
        history = replace(cut(history, own), hidden_bodies=hidden)
        found.append(Asked(text, split, history))
    return found


def cut(history: History, kept: Sequence[int] | range) -> History:
    """Return a history of which only some own texts are known."""
    places = list(kept)
    return replace(
        history,
        texts=tuple(history.texts[at] for at in places),
        style=history.style[places],
        topic_vectors=history.topic_vectors[places],
    )
