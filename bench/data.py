"""Data of the benches: files with marked targets and splits, and requests for hidden texts.

Evidence is measured on each text of a person, hidden in turn. The store already hides it: own
history leaves out texts on the requested topic, people never get their own texts as evidence, and
copies of the hidden text are left out as for a target. People with one text represent zero history.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ..stores.datasets.formats import read_texts
from ..stores.datasets.splits import Place, Split, Splits, deal, latest_as_targets
from ..stores.search.words import bare
from ..stores.texts.store import TextStore
from ..stores.types import Encoder, History, Text
from ..stores.values import FIVE_STARS, RatingScale


def data_name(file: Path) -> str:
    """Return the name of a data set: the file's name without `_dev` or `_test`."""
    return re.sub(r"_(dev|test)$", "", file.stem)


def valid_texts(file: Path) -> list[Text]:
    """Return the valid texts of a file that have a body.

    Raises:
        FormatError: The file is of no known format.
    """
    return read_rated(file)[0]


def read_rated(file: Path, scale: RatingScale | None = None) -> tuple[list[Text], RatingScale]:
    """Return the valid texts of a file that have a body, and the scale of their ratings.

    Args:
        file: Of any format that is ingested.
        scale: The scale; None: that of the format, or 1 to 5.

    Raises:
        FormatError: The file is of no known format.
    """
    rows = read_texts(file, scale=scale)
    return [text for text in rows if isinstance(text, Text) and text.body.strip()], rows.scale


def topic_input(text: Text) -> str:
    """Return what a store's topic encoder embeds of a text."""
    return f"{text.title}\n{text.body}".strip()


def mark_targets(texts: Sequence[Text]) -> list[Text]:
    """Return the texts; where none is a target, each person's latest one becomes one."""
    return list(texts) if any(text.target for text in texts) else latest_as_targets(texts)


def split_texts(texts: Sequence[Text]) -> tuple[list[Text], Splits]:
    """Return texts with their targets marked, and their splits."""
    marked = mark_targets(texts)
    return marked, deal(Place.of(text) for text in marked)


@dataclass(frozen=True)
class HiddenText:
    """One request and the text that its person really wrote.

    Attributes:
        text: The hidden text.
        split: Of the person, see `hidden_texts`.
        history: What is known of the person without it.
    """

    text: Text
    split: Split
    history: History


@dataclass(frozen=True)
class EvidenceCorpus:
    """The texts of one file in a store.

    Attributes:
        name: Of the file, for its rows.
        texts: All texts, targets marked.
        splits: Of these texts.
        store: Filled with them.
    """

    name: str
    texts: Sequence[Text]
    splits: Splits
    store: TextStore


@asynccontextmanager
async def open_corpus(
    name: str,
    texts: Sequence[Text],
    style: Encoder,
    topic: Encoder,
    scale: RatingScale = FIVE_STARS,
) -> AsyncIterator[EvidenceCorpus]:
    """Open a store of one file's texts, with ratings on a scale, in a temporary folder."""
    marked, splits = split_texts(texts)
    with TemporaryDirectory() as folder:
        opened = TextStore.open(folder, style_encoder=style, topic_encoder=topic)
        async with opened as store:
            await store.use_rating_scale(scale)
            await store.add(marked)
            yield EvidenceCorpus(name, marked, splits, store)


async def hidden_texts(corpus: EvidenceCorpus, splits: Sequence[Split]) -> list[HiddenText]:
    """Return the requests of some splits: all texts with a title and a topic.

    A request of `report` has its person and its topic there, one of `gate` has its person there
    and its topic not in `report`.
    """
    found = []
    for text in corpus.texts:
        split = corpus.splits.of_user(text.user_id)
        held_out = corpus.splits.of_topic(text.topic_id) == "report"
        if split not in splits or held_out != (split == "report"):
            continue
        if not text.title.strip() or not text.body.strip() or not text.topic_id:
            continue
        history = await corpus.store.history(text.namespace, text.user_id, topic_id=text.topic_id)
        hidden = history.hidden_bodies | {bare(text.body)}
        own = [at for at, each in enumerate(history.texts) if bare(each.body) != bare(text.body)]
        history = replace(cut(history, own), hidden_bodies=hidden)
        found.append(HiddenText(text, split, history))
    return found


def cut(history: History, kept: Sequence[int] | range) -> History:
    """Return a history with some of its own texts only."""
    places = list(kept)
    return replace(
        history,
        texts=tuple(history.texts[at] for at in places),
        style=history.style[places],
        topic_vectors=history.topic_vectors[places],
    )
