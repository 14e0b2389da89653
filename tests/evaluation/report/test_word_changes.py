"""What changed in a text, word by word."""

import random

import pytest
from patlm.evaluation.report.trace import Span, changes


def told(before: str, after: str) -> list[tuple[str, str]]:
    return [(span.kind, span.text) for span in changes(before, after)]


def text_of(spans: tuple[Span, ...], *kinds: str) -> str:
    return "".join(span.text + span.space for span in spans if span.kind in kinds)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("one two", "one two", [("equal", "one two")]),
        ("one", "one two three", [("equal", "one"), ("insert", "two three")]),
        ("one", "", [("delete", "one")]),
        (
            "a fine view",
            "a grand view",
            [("equal", "a"), ("delete", "fine"), ("insert", "grand"), ("equal", "view")],
        ),
        # A word is what stands between white space: a new sign at its end makes another word.
        ("the end", "the end!", [("equal", "the"), ("delete", "end"), ("insert", "end!")]),
    ],
)
def test_by_hand(before: str, after: str, expected: list[tuple[str, str]]) -> None:
    assert told(before, after) == expected


def test_other_white_space_is_no_change_and_the_new_one_is_shown() -> None:
    assert changes("one two\nthree", "one  two three\n") == (Span("equal", "one  two three", "\n"),)


def test_the_spans_give_the_new_text_back() -> None:
    draw = random.Random(3)
    words = ["a", "b", "c", "  d", "\ne", "f."]
    for _ in range(200):
        before, after = (
            " ".join(draw.choices(words, k=draw.randrange(12))).strip() for _ in range(2)
        )
        spans = changes(before, after)
        assert text_of(spans, "equal", "insert") == after
        stayed = [span.text for span in spans if span.kind != "insert"]
        assert " ".join(stayed).split() == before.split()


def test_text_without_white_space_ends_at_the_limit_of_words() -> None:
    assert told("x" * 100_000, "y") == [("delete", "x" * 100_000), ("insert", "y")]
