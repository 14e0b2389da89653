"""Texts by the million, made of sentences of real ones, for `patlm bench retrieval`.

Each text is by one of n/10 users about one of n/20 topics, a quarter of all about the first.
A user stands for a real person and a topic for a real one: a text joins sentences of that person
with sentences on that topic, so that both encoders get realistic input. No two bodies are equal
after normalising case and spacing.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...stores.datasets.formats import read_texts
from ...stores.datasets.validation import FormatError
from ...stores.search.words import bare
from ...stores.types import Text

DATA_VARIABLE = "PATLM_DATA"
FILES = (
    "pgraphrag/gap_dev.json",
    "pgraphrag/hotel_dev.json",
    "pgraphrag/amazon_dev.json",
    "amazon14/instruments_dev.jsonl",
)

TEXTS_PER_USER, TEXTS_PER_TOPIC = 10, 20
LARGE_SHARE = 0.25
LARGE_TOPIC = "topic-000000"

USER_SPREAD, TOPIC_SPREAD = 0.9, 1.0
"""Standard deviations of the log number of texts of users and of topics: as in the files, a tenth
of the people write about four tenths of the texts."""

LEAST_SENTENCES = 3
"""Least sentences of a real person, or a real topic, that stands for others."""

TRIES = 20
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_LENGTHS = range(12, 300)
"""Characters of a sentence that is taken."""

Codes = NDArray[np.int32]

Item = TypeVar("Item")


@dataclass(frozen=True)
class SentencePool:
    """Real sentences that texts are made of.

    Attributes:
        of_person: Sentences of each real person.
        on_topic: Sentences on each real topic, those with the most first.
        titles: Titles of each of these topics' texts, at least one each.
        ratings: Of all texts that have one.
    """

    of_person: Sequence[Sequence[str]]
    on_topic: Sequence[Sequence[str]]
    titles: Sequence[Sequence[str]]
    ratings: Sequence[float]


def read_source(folder: str | None) -> SentencePool:
    """Read the sentences of the benchmark files.

    Args:
        folder: Of the files, from the variable `PATLM_DATA`.

    Raises:
        FormatError: The variable is not set, or a file is missing or of another format.
    """
    if not folder:
        raise FormatError(
            f"expected the folder of the data sets in {DATA_VARIABLE}, which is not set: set it "
            f"to a folder that holds {', '.join(FILES)}",
            code="no_data_folder",
        )
    rows = (row for file in FILES for row in read_texts(Path(folder) / file))
    return make_source([row for row in rows if isinstance(row, Text)])


def make_source(texts: Sequence[Text]) -> SentencePool:
    """Split texts into sentences.

    Raises:
        FormatError: They hold too few sentences by one person or on one topic.
    """
    persons: dict[str, list[str]] = defaultdict(list)
    topics: dict[str, list[str]] = defaultdict(list)
    titles: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        found = [each.strip() for each in _SENTENCE_END.split(text.body) if len(each) in _LENGTHS]
        persons[text.user_id] += found
        topics[text.topic_id] += found
        titles[text.topic_id] += [title] if (title := text.title.strip()) else []
    of_person = [each for each in persons.values() if len(each) >= LEAST_SENTENCES]
    named = [topic for topic in topics if len(topics[topic]) >= LEAST_SENTENCES]
    named.sort(key=lambda topic: -len(topics[topic]))
    if not of_person or len(named) < 2:
        raise FormatError(
            f"expected texts of people and on topics with {LEAST_SENTENCES} sentences each, got "
            f"{len(of_person)} such people and {len(named)} such topics: name larger files",
            code="no_texts",
        )
    return SentencePool(
        of_person=of_person,
        on_topic=[topics[topic] for topic in named],
        titles=[titles[topic] or [_first_words(topics[topic][0])] for topic in named],
        ratings=[text.rating for text in texts if text.rating is not None] or [5.0],
    )


class Corpus:
    """n texts, the same for the same seed; a stream, not kept.

    Attributes:
        author: User of each text, in [0, n/10), each at least once; shape (n,).
        topic: Topic of each text, in [0, n/20), each at least once, 0 the large one; shape (n,).
    """

    def __init__(self, source: SentencePool, texts: int, *, seed: int = 0) -> None:
        """Assign authors and topics; texts are made on iteration.

        Args:
            source: Sentences they are made of.
            texts: Number of texts, at least 40.
            seed: Random seed.
        """
        self.source, self.seed = source, seed
        rng = np.random.default_rng(seed)
        users, topics = texts // TEXTS_PER_USER, texts // TEXTS_PER_TOPIC
        large = round(texts * LARGE_SHARE)
        self.author = rng.permutation(_dealt(rng, users, texts, USER_SPREAD))
        others = 1 + _dealt(rng, topics - 1, texts - large, TOPIC_SPREAD)
        self.topic = rng.permutation(np.concatenate([np.zeros(large, np.int32), others]))
        # Real topics in turn; the one with the most sentences stands for the large topic.
        self._person = rng.integers(len(source.of_person), size=users)
        self._real_topic = np.arange(topics)
        self._real_topic[1:] = 1 + (self._real_topic[1:] - 1) % (len(source.on_topic) - 1)

    def __len__(self) -> int:
        return len(self.author)

    def __iter__(self) -> Iterator[Text]:
        """Make the texts one by one; memory is 8 bytes a text."""
        rng = np.random.default_rng([self.seed, 1])
        made: set[int] = set()
        for place, (author, topic) in enumerate(
            zip(self.author.tolist(), self.topic.tolist(), strict=True)
        ):
            real = int(self._real_topic[topic])
            yield Text(
                user_id=f"user-{author:06d}",
                topic_id=f"topic-{topic:06d}",
                title=_one_of(rng, self.source.titles[real]),
                body=self._new_body(rng, int(self._person[author]), real, made),
                rating=_one_of(rng, self.source.ratings),
                timestamp=1_400_000_000_000 + place * 60_000,
                position=place,
            )

    def _new_body(self, rng: np.random.Generator, person: int, topic: int, made: set[int]) -> str:
        of_person, on_topic = self.source.of_person[person], self.source.on_topic[topic]
        for tries in range(TRIES):
            # Longer after each failure: short texts of few sentences run out.
            own = _some_of(rng, of_person, 1 + int(rng.integers(2)) + tries // 4)
            about = _some_of(rng, on_topic, 1 + int(rng.integers(3)) + tries // 4)
            body = " ".join(own + about if rng.random() < 0.5 else about + own)
            digest = body_hash(body)
            if digest not in made:
                made.add(digest)
                return body
        raise FormatError(
            f"no new text in {TRIES} tries from {len(of_person)} sentences of a person and "
            f"{len(on_topic)} on a topic: ask for fewer texts",
            code="no_texts",
        )


def body_hash(body: str) -> int:
    """Return 8 bytes that are equal where bodies are, case and spacing apart."""
    return int.from_bytes(hashlib.blake2b(bare(body).encode(), digest_size=8).digest())


def _dealt(rng: np.random.Generator, owners: int, texts: int, spread: float) -> Codes:
    """Return an owner for each text: each owner once, the rest by log-normal weights."""
    weights = rng.lognormal(sigma=spread, size=owners)
    rest = rng.choice(owners, size=texts - owners, p=weights / weights.sum())
    return np.concatenate([np.arange(owners), rest]).astype(np.int32)


def _one_of(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]


def _some_of(rng: np.random.Generator, sentences: Sequence[str], count: int) -> list[str]:
    return [sentences[int(at)] for at in rng.integers(len(sentences), size=count)]


def _first_words(sentence: str) -> str:
    return " ".join(sentence.split()[:5])
