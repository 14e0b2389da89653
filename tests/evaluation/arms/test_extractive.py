"""Summaries without a language model: measured by hand, short, and no copies."""

from collections.abc import Sequence

import pytest
from patlm.evaluation.arms.extractive import preference_summary, shared_phrases, style_summary


def longest_run(summary: str, texts: Sequence[str]) -> int:
    words = summary.split()
    runs = [
        end - begin
        for begin in range(len(words))
        for end in range(begin + 1, len(words) + 1)
        if any(f" {' '.join(words[begin:end])} " in f" {' '.join(t.split())} " for t in texts)
    ]
    return max(runs, default=0)


def test_the_style_of_one_that_exclaims() -> None:
    texts = [
        "I LOVE this guitar so much!! It's GREAT.",  # 8 words in 2 sentences
        "We don't need another one!!",  # 5 in 1
        "My sister plays it every day... and she can't stop!! SUPER. Really. Yes.",  # 13 in 5
    ]
    assert style_summary(texts) == (
        "About 9 words in 2 sentences. Many exclamation marks!!, some words in CAPITALS, "
        "first person, contractions. Opens: I LOVE this guitar"
    )


@pytest.mark.parametrize(
    ("texts", "trait"),
    [
        (["so soft...", "good.. really", "fine"], "dots..."),
        (["it is soft. really", "Good. but dear", "Fine"], "sentences open in lower case"),
        (["Soft 🎸", "Good :)", "Fine"], "emoji"),
        (["Soft!", "Good!", "Fine"], "exclamation marks!"),
    ],
)
def test_a_trait_is_told_where_half_of_the_texts_have_it(texts: list[str], trait: str) -> None:
    assert trait in style_summary(texts).casefold()
    assert trait not in style_summary([texts[0], "Fine", "Fine", "Fine"]).casefold()


def test_a_style_summary_is_short_and_shows_six_words_at_most() -> None:
    text = " ".join(f"word{at}" for at in range(200)) + "!! I'm HERE... :) ok. i'm"
    found = style_summary([text] * 5)
    assert longest_run(found, [text]) == 6
    assert len(found.split()) <= 36
    # Half of a short text at most: the opening must not be the text.
    assert style_summary(["Very good indeed"]).endswith("Opens: Very")
    assert "Opens" not in style_summary(["Good"])


def test_nothing_gives_no_summary() -> None:
    assert style_summary([]) == style_summary([" ", "\n"]) == ""
    assert preference_summary([]) == preference_summary([" ", "..."]) == ""


def test_phrases_are_those_that_several_texts_hold() -> None:
    texts = [
        "The battery life is great, and the sound is not good.",
        "Great sound! Battery life: two days. Battery life again, battery life.",
        "It's not good, and the handle broke.",
    ]
    # Weights: "battery life" and "not good" 2 x 1.5; "great" and "sound" 2 x 1; the words of the
    # taken ones and "handle", which one text holds, are passed over.
    assert shared_phrases(texts, 12) == ["battery life", "not good", "great", "sound"]
    assert shared_phrases(texts, 3) == ["battery life", "great"]
    assert shared_phrases(texts[:1], 12) == shared_phrases([], 12) == []


def test_an_opinion_summary_has_phrases_and_then_the_central_sentence() -> None:
    texts = [
        "My aunt plays. The battery life is great.",
        "Battery life is really great here. Blue.",
        "The battery life is so great. Cheap!",
    ]
    # "battery life" (3 texts) and "great" (3). Of twelve words three are taken; what is most like
    # the other texts' sentences follows, and its likes say it again.
    assert preference_summary(texts, 12) == (
        "battery life, great. The battery life is great. My aunt plays. Blue."
    )


@pytest.mark.parametrize("words", [3, 8, 20, 36])
def test_an_opinion_summary_keeps_to_its_words(words: int) -> None:
    texts = [
        "The pool is warm and large, which is rare in this part of the town at such a price.",
        "A warm pool and a large bed make a stay that nobody in our family will forget soon.",
    ]
    found = preference_summary(texts, words)
    assert 0 < len(found.split()) <= words


def test_summaries_are_made_shorter_until_their_tokens_fit() -> None:
    texts = [
        "The pool is warm. The bed is soft. The staff is kind, and nobody shouts.",
        "A warm pool! A soft bed. Our aunt came along with us.",
    ]
    # Two tokens a word: 48 of them are 24 words.
    whole = preference_summary(texts)
    assert len(whole.split()) > 24
    fitted = preference_summary(texts, count=lambda said: 2 * len(said.split()))
    assert 12 < len(fitted.split()) <= 24
    assert fitted.endswith((".", "!"))
    assert preference_summary(texts, count=lambda said: len(said.split())) == whole
    # One word that is too long is cut inside.
    assert preference_summary(["ab" * 90], count=len) == "ab" * 24
    assert len(style_summary(texts, count=lambda said: len(said.split()), tokens=9).split()) <= 9
