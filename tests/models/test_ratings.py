"""Ratings: what is read from an answer in words, and what can't be told."""

import pytest
from patlm.models.ratings import read_rating


@pytest.mark.parametrize(
    ("answer", "rating"),
    [
        ("4", 4),
        ("4.", 4),
        ("4.0", 4),
        ("**3**", 3),
        ("4/5", 4),
        ("4 / 5 stars", 4),
        ("4.0/5", 4),
        ("4 out of 5", 4),
        ("I give it 2 out of 5.", 2),
        ("nota 4 de 5", 4),
        ("4/5 (8/10)", 4),
        ("(5 stars)", 5),
        ("5-star", 5),
        ("Rating (1-5): 4", 4),
        ("On a scale from 1 to 5, this is a 4.", 4),
        ("Between 1 and 5 I would say 4", 4),
        ("Out of 5 stars: 5", 5),
        ("A 5 star scale: 3", 3),
        ("1 = worst, 5 = best: 4", 4),
        ("From 1 (bad) to 5 (good): 3", 3),
        ("Scale: 1-5. Score: 2", 2),
        ("Auf einer Skala von 1 bis 5: 4", 4),
        ("1. The writer loves it.\n2. So the rating is 5.", 5),
        ("3, because it rained", 3),
        ("3, because it rained 2 days", 3),
        ("2 of the people liked it, rating: 5", 5),
        ("The reviews say 3 and 5. 4", 4),
        ("24/7 support, so 5", 5),
        ("four", 4),
        ("Four stars!", 4),
        ("four out of five", 4),
        ("I would give it four stars.", 4),
        ("My rating: two", 2),
        ("quatro estrelas", 4),
        ("★★★★☆", 4),
        ("⭐⭐⭐", 3),
    ],
)
def test_a_rating_is_read(answer: str, rating: int) -> None:
    read = read_rating(answer)
    assert (read.value, read.why) == (rating, "")


@pytest.mark.parametrize(
    "answer",
    ["", "great", "0", "10", "45", "2024", "-3", "4.5", "1,000", "80%", "$3", "0/5", "6/5", "4.5/5"]
    + ["1 to 5", "(1-5)", "4-5", "4 or 5", "3 and 5", "It's a 4, not a 5", "this one is great"]
    + ["I have bought two", "day 2 of 7, 3rd try 3 or 4"],
)
def test_what_cannot_be_told_is_no_rating(answer: str) -> None:
    read = read_rating(answer)
    assert read.value is None and read.why


@pytest.mark.parametrize("answer", ["8/10", "8 out of 10", "eight out of ten", "I'd say 3/10"])
def test_another_scale_is_told(answer: str) -> None:
    read = read_rating(answer)
    assert read.value is None and "another scale" in read.why


@pytest.mark.parametrize(
    ("answer", "points"),
    [("6/7", 6), ("Score: 7", 7), ("five", 5), ("2 out of 7.", 2), ("3/5", None), ("5 or 6", None)],
)
def test_a_judge_has_a_scale_of_its_own(answer: str, points: int | None) -> None:
    assert read_rating(answer, 1, 7).value == points
