"""Training of the style encoder: what may be learnt from, and that something is learnt."""

from dataclasses import replace

import numpy as np
import torch
from made_up_people import TOPICS, people
from patlm.stores.datasets.splits import Splits, user_key
from patlm.training.style_encoder.data import (
    LONGEST,
    NEGATIVES,
    draw_batch,
    find_pairs,
    split_for_style,
)
from patlm.training.style_encoder.train import StyleSettings, train_style
from store_fixtures import text

PEOPLE = people()
LEARNERS = [each for each in PEOPLE if int(each.user_id[4:]) % 4]
OTHERS = [each for each in PEOPLE if not int(each.user_id[4:]) % 4]


def test_a_pair_holds_the_topic_fixed() -> None:
    pairs = find_pairs(PEOPLE)
    assert len(pairs) > 100
    for pair in pairs:
        positive = PEOPLE[pair.positive]
        assert positive.user_id == pair.author
        for place in pair.episode:
            assert PEOPLE[place].user_id == pair.author
            assert PEOPLE[place].topic_id != positive.topic_id
        for place in pair.rivals:
            assert PEOPLE[place].user_id != pair.author
            assert PEOPLE[place].topic_id == positive.topic_id


def test_a_display_name_is_no_author_but_may_be_another() -> None:
    named = [replace(each, shared_id=each.user_id == "user1") for each in PEOPLE]
    pairs = find_pairs(named)
    assert "user1" not in {pair.author for pair in pairs}
    assert any(named[place].user_id == "user1" for pair in pairs for place in pair.rivals)


def test_copies_and_texts_without_a_topic_are_left_out() -> None:
    texts = [
        text("ann", "tea", "The same words."),
        text("ann", "pot", "The same words."),
        text("bob", "tea", "The SAME words!"),
        text("ann", "", "Nothing is known of what this is about."),
    ]
    assert find_pairs(texts) == []


def test_negatives_are_the_nearest_rivals() -> None:
    texts = [
        text("ann", "tea", "a"),
        text("ann", "pot", "b"),
        *(text(f"other{at}", "tea", f"c{at}") for at in range(5)),
    ]
    angles = torch.tensor([0.0, 1.0, 3.0, 1.2, 2.0, 0.9, 2.5])  # the second one is the episode's
    rows = torch.stack([angles.cos(), angles.sin()], dim=1)
    pairs = [pair for pair in find_pairs(texts) if pair.positive == 0]
    batch = draw_batch(pairs, rows, np.random.default_rng(0), of_each=5)
    assert batch.negative.tolist() == [5, 3, 4]
    assert batch.episode.shape == (NEGATIVES, LONGEST)
    assert set(batch.episode.flatten().tolist()) == {1}


def test_training_helps_with_people_and_topics_never_seen() -> None:
    whole = people(texts=8)
    train = [each for each in whole if int(each.user_id[4:]) % 4 and each.topic_id in TOPICS[:5]]
    gate = [each for each in whole if not int(each.user_id[4:]) % 4 and each.topic_id in TOPICS[5:]]
    fit = train_style(train, gate, StyleSettings(epochs=6))
    before, after = fit.gate[0], fit.gate[fit.kept]
    assert after == max(fit.gate) > before
    assert fit.authors <= 24 and fit.pairs > 40


def test_it_stops_when_the_gate_gets_no_better() -> None:
    fit = train_style(LEARNERS, OTHERS, StyleSettings(epochs=40, patience=2, learning_rate=3.0))
    assert len(fit.gate) < 40
    assert len(fit.gate) - 1 - fit.kept == 2
    again = train_style(LEARNERS, OTHERS, StyleSettings(epochs=40, patience=2, learning_rate=3.0))
    assert again.encoder.version == fit.encoder.version


def test_texts_of_report_are_never_touched() -> None:
    splits = Splits(
        topics={"a": "train", "b": "gate", "c": "report"},
        users={user_key("ann"): "train", user_key("bob"): "gate", user_key("cy"): "report"},
    )
    texts = [
        text(user, topic, "x") for user in ("ann", "bob", "cy") for topic in ("a", "b", "c", "")
    ]
    train, gate = split_for_style(texts, splits)
    assert [(each.user_id, each.topic_id) for each in train] == [("ann", "a")]
    assert [(each.user_id, each.topic_id) for each in gate] == [("bob", "a"), ("bob", "b")]
