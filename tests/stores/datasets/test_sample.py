"""The shipped corpus is what it says: people who write differently, and no template among them."""

import re
from collections import Counter
from itertools import combinations

import pytest
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.sample import sample_corpus
from patlm.stores.datasets.validation import Reject
from patlm.stores.types import Text


@pytest.fixture(scope="module")
def texts() -> list[Text]:
    rows = list(read_texts(sample_corpus()))
    assert not [row for row in rows if isinstance(row, Reject)]
    return [row for row in rows if isinstance(row, Text)]


def words_of(text: Text) -> list[str]:
    return re.findall(r"\w+(?:['’]\w+)?", text.body.lower())


def test_there_are_enough_people_texts_and_topics(texts: list[Text]) -> None:
    assert len({text.user_id for text in texts}) >= 40
    assert len(texts) >= 240
    assert len({text.topic_id for text in texts}) == 40


def test_histories_are_uneven(texts: list[Text]) -> None:
    sizes = Counter(Counter(text.user_id for text in texts).values())
    assert sum(users for size, users in sizes.items() if size == 1) >= 3
    assert sum(users for size, users in sizes.items() if 2 <= size <= 4) >= 3
    assert sum(users for size, users in sizes.items() if size >= 5) >= 3


def test_every_text_can_serve(texts: list[Text]) -> None:
    for text in texts:
        assert text.title and text.topic_id and len(words_of(text)) >= 5, text
        assert text.shared and not text.target and not text.shared_id, text
        assert text.rating is not None and 1 <= text.rating <= 5, text
        assert text.timestamp is not None and text.timestamp > 1_000_000_000_000, text
    assert len({text.text_id for text in texts}) == len(texts)


def test_no_two_texts_share_more_than_a_twentieth_of_their_word_5_grams(texts: list[Text]) -> None:
    grams = [
        {tuple(words[at : at + 5]) for at in range(len(words) - 4)}
        for words in map(words_of, texts)
    ]
    alike = [
        (texts[a].title, texts[b].title)
        for a, b in combinations(range(len(texts)), 2)
        if len(grams[a] & grams[b]) > 0.05 * len(grams[a] | grams[b])
    ]
    assert not alike
