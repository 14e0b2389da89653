"""Known hazards of benchmark texts, on made-up ones: what goes, and what has to stay."""

from dataclasses import replace

import pytest
from patlm.stores.datasets.cleaning import (
    CLEANINGS,
    UnknownCleaning,
    check_cleanings,
    clean_texts,
    has_markup,
    without_markup,
    without_more,
    without_promotion,
    without_reply,
)
from raising import raises
from store_fixtures import text


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("The pool is warm and the... More", "The pool is warm and the"),
        ("The pool is warm and the…More \n", "The pool is warm and the"),
        ("Warm pool, ... more or less", "Warm pool, ... more or less"),
        ("Wait... More came later.", "Wait... More came later."),
        ("I want More", "I want More"),
        ("two  spaces.  stay \n", "two  spaces.  stay \n"),
    ],
)
def test_more_goes_from_the_end_alone(body: str, left: str) -> None:
    assert without_more(body) == left


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("Warm pool!Dear Ann, we appreciate your visit.", "Warm pool!"),
        ("Warm pool.Hello Bo, I look forward to it. Regards, Cy", "Warm pool."),
        ("Warm pool.Aloha Bo, we hope you come back.", "Warm pool."),
        ("Warm pool.Ann, thank you for your kind words.", "Warm pool."),
        # Behind "...More" whatever comes is a reply, however it opens.
        ("The pool, which...MoreMany guests love it.", "The pool, which...More"),
        ("The pool, which…MoreDear Ann, it is.", "The pool, which…More"),
    ],
)
def test_a_glued_reply_goes(body: str, left: str) -> None:
    assert without_reply(body) == left


@pytest.mark.parametrize(
    "body",
    [
        "Warm pool.Thank you Ann for the tip about towels.",  # thanks, but no manager
        "Warm pool. Dear Ann, we appreciate your visit.",  # not glued
        "Warm pool.The manager hopes you enjoy your stay.",  # glued, but no greeting
        "Hello, I appreciate your review of it.",  # the whole text
        "There is more...Moreover, I look forward to it.",
    ],
)
def test_what_an_author_wrote_stays(body: str) -> None:
    assert without_reply(body) == body


def test_a_promotion_note_goes() -> None:
    note = "This review was collected as part of a promotion."
    assert without_promotion(f"Soft towel. {note}") == "Soft towel."
    assert without_promotion(f"[{note}] Soft towel.") == "Soft towel."
    assert without_promotion("Soft towel, in a promotion.") == "Soft towel, in a promotion."


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("Loud.<br /><br />But it boils.<BR/>Fast.<br>Yes.", "Loud.\n\nBut it boils.\nFast.\nYes."),
        ("An 8&#34; pan &amp; a &quot;lid&quot;, caf&#xE9;", 'An 8" pan & a "lid", café'),
        ("&amp;#34; is said once", "&#34; is said once"),
        ("I <3 it, a < b > c, <b>bold</b>, <break>", "I <3 it, a < b > c, <b>bold</b>, <break>"),
        ("R&D, this&that, A&P; Q&A, &copyright, 5 &# 6, &nosuch;",) * 2,
    ],
)
def test_marks_of_pages_are_line_ends_and_signs(body: str, left: str) -> None:
    assert without_markup(body) == left
    assert has_markup(body) == (body != left)
    (cleaned,) = clean_texts([text("ann", "x", body)], ["markup"])
    assert cleaned.body == left


def test_a_truncated_text_with_a_reply_loses_both() -> None:
    glued = text("ann", "x", "The pool is...MoreDear Ann, thank you for your review", title="Pool")
    assert clean_texts([glued], ["more", "replies"]) == [replace(glued, body="The pool is")]


def test_what_is_cleaned_away_whole_is_left_out() -> None:
    texts = [
        text("ann", "x", "This review was collected as part of a promotion."),
        text("bo", "x", "Fine."),
    ]
    assert clean_texts(texts, ["promotions"]) == texts[1:]
    assert len(clean_texts(texts, ["more"])) == 2
    assert clean_texts([text("ann", "x", " ... More")], ["more"]) == []


def test_a_target_that_another_text_says_too_is_none() -> None:
    same, alone = text("ann", "x", "So GOOD  it is", target=True), text("bo", "x", "Other")
    other = text("cy", "y", "so good it is")
    target = replace(alone, target=True)
    found = clean_texts([same, other, target], ["duplicates"])
    assert found == [replace(same, target=False), other, target]
    # A text that is no target is never made one, nor left out.
    assert clean_texts([other, replace(other, user_id="dee")], ["duplicates"]) == [
        other,
        replace(other, user_id="dee"),
    ]


def test_an_unknown_cleaning_is_told_with_those_that_there_are() -> None:
    with raises(UnknownCleaning, "unknown_cleaning", "dust", "mud", *CLEANINGS):
        check_cleanings(["mud", "more", "dust"])
    with pytest.raises(UnknownCleaning):
        clean_texts([], ["mud"])
    assert check_cleanings(["duplicates", "more", "more"]) == ("more", "duplicates")
