"""Cutting to a budget: shares by hand, cuts between words, the weakest dropped first."""

import random

import pytest
from fakes import words
from patlm.nodes.budget import cut, fit, shares


def letters(text: str) -> int:
    return len(text)


def piece(letter: str, size: int) -> str:
    return " ".join([letter] * size)


@pytest.mark.parametrize(
    ("text", "tokens", "left"),
    [
        ("one two three", 3, "one two three"),
        ("one two three", 2, "one two"),
        ("one  two\nthree", 2, "one  two"),  # white space inside stays as it was written
        ("one two three", 0, ""),
        ("", 0, ""),
    ],
)
def test_whole_words_from_the_front(text: str, tokens: int, left: str) -> None:
    assert cut(text, tokens, words) == left


def test_a_cut_is_the_longest_front_that_fits() -> None:
    draw = random.Random(1)
    for _ in range(300):
        size = draw.randint(2, 40)
        text = " ".join("x" * draw.randint(1, 12) for _ in range(size))
        room = draw.randint(len(text.split()[0]), len(text) + 3)
        left = cut(text, room, letters)
        assert text.startswith(left) and letters(left) <= room
        rest = text[len(left) :]
        assert rest == "" or rest.startswith(" "), "cut inside a word"
        if rest:
            longer = left + " " + rest.split()[0]
            assert letters(longer) > room, "one more word would have fitted"


@pytest.mark.parametrize("text", ["部屋はとても清潔で快適でした", "https://example.org/aaaaaaaa"])
def test_a_first_word_that_is_too_long_is_cut_inside(text: str) -> None:
    left = cut(text, 7, letters)
    assert left == text[:7]


@pytest.mark.parametrize(
    ("sizes", "room", "given"),
    [
        ([100, 100, 100], 90, [30, 30, 30]),
        ([10, 100, 100], 90, [10, 40, 40]),  # 90/3 = 30; 20 of the first go to the others
        ([100, 10, 25], 90, [55, 10, 25]),
        ([5, 5], 100, [5, 5]),
        ([], 10, []),
    ],
)
def test_equal_shares_none_larger_than_its_piece(
    sizes: list[int], room: int, given: list[int]
) -> None:
    assert shares(sizes, room) == given


def test_a_piece_is_dropped_where_its_share_would_be_below_the_smallest() -> None:
    pieces = [piece(letter, 100) for letter in "abcd"]
    # 4 x 16 = 64: all stay; one token less: 63 // 4 = 15 < 16, so three share 63: 21 each.
    assert [words(text) for text in fit(pieces, 64, 16, words).texts] == [16, 16, 16, 16]
    assert fit(pieces, 63, 16, words).texts == tuple(piece(letter, 21) for letter in "abc")


def test_the_share_that_was_cut_counts_what_was_dropped() -> None:
    pieces = [piece(letter, 100) for letter in "abcd"]
    assert fit(pieces, 64, 16, words).cut_share == pytest.approx(1 - 64 / 400)
    assert fit(pieces, 20, 16, words).cut_share == pytest.approx(1 - 20 / 400)
    assert fit(["a b"], 64, 16, words).cut_share == 0
    assert fit([], 64, 16, words).cut_share == 0
