"""Floors: each against a computation of its own, and what has to stay the same."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from patlm.evaluation.arms import extractive as central
from patlm.evaluation.arms.floors import (
    EXTRACT_WORDS,
    FLOORS,
    Neighbours,
    copy_best,
    copy_random,
    copy_typical,
    extract,
    neighbours_of,
)
from patlm.nodes.state import Request
from patlm.stores.types import Text
from rouge_score.rouge_scorer import RougeScorer
from store_fixtures import text

TEXTS = (
    "The room was clean and the staff was kind.",
    "The staff was kind, the room was small and the bed was soft.",
    "Breakfast! BREAKFAST!! It's the best breakfast.",
    "Não gostei do quarto, o café é bom",
    "...",
    "The room was clean and the staff was kind.",
    "the the the the the room",
    "Kind staff; a clean, clean, clean room.",
)

WORDS = "the a room bed staff kind clean soft was is and breakfast good café view not".split()


def made_up(seed: int, texts: int, words: int = 60) -> tuple[str, ...]:
    draw = random.Random(seed)
    return tuple(
        " ".join(
            draw.choice(WORDS) + draw.choice(["", "", "", ",", ".", "!"])
            for _ in range(draw.randint(1, words))
        )
        for _ in range(texts)
    )


def scored(real: str, draft: str) -> float:
    scores = RougeScorer(["rouge1"], use_stemmer=False).score(real, draft)
    return float(scores["rouge1"].fmeasure)


def typical_by_brute_force(texts: Sequence[str]) -> str:
    means = [
        np.mean([scored(other, one) for there, other in enumerate(texts) if there != here])
        for here, one in enumerate(texts)
    ]
    best = max(means)
    return next(one for one, mean in zip(texts, means, strict=True) if mean > best - 1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_typical_one_is_that_of_brute_force(seed: int) -> None:
    texts = made_up(seed, 12)
    assert copy_typical(Neighbours("long", "", texts)) == typical_by_brute_force(texts)


def test_the_best_is_the_first_and_the_random_one_is_seeded() -> None:
    assert copy_best(Neighbours("long", "x", TEXTS)) == TEXTS[0]
    drawn = {
        seed: copy_random(Neighbours("long", "A title", TEXTS, seed=seed)) for seed in range(40)
    }
    assert set(drawn.values()) == set(TEXTS)
    assert drawn[7] == copy_random(Neighbours("long", "A title", TEXTS, seed=7))
    # One seed draws other ranks for other requests.
    assert len({copy_random(Neighbours("long", f"Title {at}", TEXTS)) for at in range(40)}) > 3


def test_the_extract_takes_what_others_say_too() -> None:
    texts = (
        "My aunt came along. The pool is warm and large.",
        "The pool is large and warm. Parking was dear.",
        "We played chess. The pool is warm.",
    )
    # Each sentence against those of the other texts. The one on the pool that is like the others'
    # two most is taken first; the others say it again; then the rest, none like any other, as read.
    found = extract(Neighbours("long", "", texts))
    assert found == (
        "The pool is warm and large. My aunt came along. Parking was dear. We played chess."
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_extract_is_made_of_whole_sentences_within_its_words(seed: int) -> None:
    texts = made_up(seed, 10)
    taken = central.central_sentences(texts, 45)
    assert 0 < len(" ".join(taken).split()) <= 45
    assert set(taken) <= {said for each in texts for said in central.split_sentences(each)}
    for at, said in enumerate(taken):
        assert all(scored(said, before) <= central.SAYS_AGAIN for before in taken[:at])
    assert extract(Neighbours("long", "", texts)) == " ".join(taken)
    title = extract(Neighbours("short", "", texts))
    assert 0 < len(title.split()) <= EXTRACT_WORDS["short"] == 10


def test_without_neighbours_there_is_nothing_to_copy() -> None:
    alone = Neighbours("long", "A title")
    assert {floor.name: floor.write(alone) for floor in FLOORS if floor.write} == {
        "copy_best": "",
        "copy_random": "",
        "copy_typical": "",
        "extract": "",
        "echo_request": "A title",
        "first_six_words": "A title",
    }
    assert copy_typical(Neighbours("rating", "A title")) == ""
    assert copy_typical(Neighbours("long", "", ("Only one.",))) == "Only one."


def test_the_typical_rating() -> None:
    def typical(*ratings: str) -> str:
        return copy_typical(Neighbours("rating", "", ratings))

    assert typical("1", "5", "5", "3") == "5"
    # 1 and 4 twice each; the median of 1 1 4 4 5 is 4.
    assert typical("1", "4", "5", "1", "4") == "4"
    # The median of 2 and 4 is 3, as near to one as to the other: the better ranked.
    assert typical("4", "2") == "4"
    assert typical("2", "4") == "2"


def others() -> list[Text]:
    return [
        text("ann", "x", "Body one", title="Title one", rating=4.0),
        text("bo", "x", "  ", title="Title two", rating=3.5),
        text("cy", "x", "Body three", title="  "),
        text("dee", "x", "Body four ", title="Title four", rating=1.0),
    ]


@pytest.mark.parametrize(
    ("task", "request_words", "texts"),
    [
        ("long", "Mine", ("Body one", "Body three", "Body four")),
        ("short", "My text", ("Title one", "Title two", "Title four")),
        ("rating", "Mine\nMy text", ("4", "3.5", "1")),
        ("free", "Do it\nMine\nMy text", ("Body one", "Body three", "Body four")),
    ],
)
def test_what_of_a_neighbour_counts(task: str, request_words: str, texts: tuple[str, ...]) -> None:
    request = Request(user_id="me", task=task, title="Mine", text="My text", instruction="Do it")  # type: ignore[arg-type]
    assert neighbours_of(request, others(), seed=3) == Neighbours(
        request.task, request_words, texts, 3
    )
