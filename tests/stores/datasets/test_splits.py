"""Topics are dealt to 12 : 3 : 5 of the targets, people follow them, and nothing ever moves."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from patlm.stores.datasets.splits import (
    Place,
    Splits,
    SplitsError,
    deal,
    extend_splits,
    forget_split,
    latest_as_targets,
    load_splits,
    split_by_hash,
    user_key,
)
from patlm.stores.types import Text
from raising import raises


def targets(topic: str, number: int) -> list[Place]:
    return [Place(f"{topic}-{index}", topic, True) for index in range(number)]


# 20 targets: shares are 12, 3 and 5. Largest first, to the split farthest below its share:
# a (9) -> train (12 left, against 5 and 3); b (5) -> report (5, against 3 and 3);
# c (3) -> train (3 left; a tie with gate goes to the first); d (2) -> gate (3, against 0 and 0);
# e (1) -> gate (1, against 0 and 0).
DEALT = {"a": "train", "b": "report", "c": "train", "d": "gate", "e": "gate"}
PLACES = [*targets("e", 1), *targets("d", 2), *targets("c", 3), *targets("b", 5), *targets("a", 9)]


def test_topics_are_dealt_largest_first_to_the_split_farthest_below_its_share() -> None:
    splits = deal(PLACES)
    assert splits.topics == DEALT
    assert Counter(splits.of_user(place.user_id) for place in PLACES) == {
        "train": 12,
        "gate": 3,
        "report": 5,
    }


def test_ties_go_by_sha1_and_order_does_not_matter() -> None:
    places = [*targets("x", 2), *targets("y", 2), *targets("z", 2)]
    first, second, third = sorted("xyz", key=lambda topic: hashlib.sha1(topic.encode()).hexdigest())
    # 6 targets: shares 3.6, .9, 1.5. The first to train (1.6 left), the second to train again
    # (-.4 left), the third to report (1.5 against .9).
    expected = {first: "train", second: "train", third: "report"}
    assert deal(places).topics == expected
    assert deal(places[::-1]) == deal(places)


def test_topics_without_targets_go_by_hash_and_people_by_most_of_their_texts() -> None:
    read = [Place("reader", "a", False), Place("reader", "b", False), Place("reader", "c", False)]
    even = [Place("even", "a", False), Place("even", "b", False)]
    new = [Place("other", "untargeted", False)]
    both = [Place("a-0", "b", False)] * 5  # a target outweighs any number of other texts
    splits = deal([*PLACES, *read, *even, *new, *both])
    assert splits.topics == {**DEALT, "untargeted": split_by_hash("untargeted")}
    assert splits.of_user("reader") == "train"  # two of three texts
    assert splits.of_user("other") == split_by_hash("untargeted")
    assert splits.of_user("a-0") == "train"
    tied = min(("train", "report"), key=lambda s: hashlib.sha1(f"even\x1f{s}".encode()).hexdigest())
    assert splits.of_user("even") == tied


def test_a_text_trains_only_if_user_and_topic_may() -> None:
    splits = deal(PLACES)
    assert splits.may_train("a-0", "c")
    assert not splits.may_train("a-0", "b")
    assert not splits.may_train("b-0", "a")
    assert splits.may_train("a-0", "")
    assert not splits.may_train("b-0", "")


def test_what_was_dealt_never_moves() -> None:
    earlier = deal(PLACES)
    later = [*targets("b", 50), Place("a-0", "b", True), *targets("f", 8), *targets("g", 9)]
    splits = deal(later, earlier)
    assert {topic: splits.topics[topic] for topic in DEALT} == DEALT
    assert splits.of_user("a-0") == "train"
    # 68 targets, 51 of them on b, which is in report: shares 40.8, 10.2, 17.
    # g (9) -> train (40.8 left), f (8) -> train (31.8 left).
    assert (splits.topics["g"], splits.topics["f"]) == ("train", "train")
    assert splits.of_topic("never seen") == split_by_hash("never seen")
    assert deal(PLACES, earlier) == earlier
    assert splits.fingerprint != earlier.fingerprint


def test_the_fingerprint_outlives_a_forgotten_user() -> None:
    splits = deal(PLACES)
    assert splits.without_user("a-0").fingerprint == splits.fingerprint
    assert user_key("a-0") not in splits.without_user("a-0").users


def test_splits_are_kept_by_namespace_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "store" / "splits.json"
    assert load_splits(path) == Splits()
    splits = extend_splits(path, "default", PLACES)
    other = extend_splits(path, "other", targets("a", 1))
    assert load_splits(path) == splits == deal(PLACES)
    assert load_splits(path, "other") == other
    before = path.read_bytes()
    assert extend_splits(path, "default", PLACES) == splits
    assert path.read_bytes() == before


def test_a_forgotten_user_is_gone_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    extend_splits(path, "default", [*PLACES, Place("Angela H", "a", False)])
    assert "Angela" not in path.read_text()  # not even before: users stand there as hashes
    assert user_key("Angela H") in path.read_text()
    assert not forget_split(path, "other", "Angela H")
    assert forget_split(path, "default", "Angela H")
    assert user_key("Angela H") not in path.read_text()
    assert not forget_split(path, "default", "Angela H")
    assert not forget_split(tmp_path / "none.json", "default", "Angela H")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "damaged_splits"),
        ("[]", "damaged_splits"),
        (json.dumps({"version": 1, "namespaces": {"default": []}}), "damaged_splits"),
        (
            json.dumps({"version": 1, "namespaces": {"default": {"topics": {"a": "test"}}}}),
            "damaged_splits",
        ),
        (json.dumps({"version": 2, "namespaces": {}}), "splits_version"),
    ],
)
def test_a_file_that_is_no_splits_is_a_clear_error(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "splits.json"
    path.write_text(content)
    with raises(SplitsError, code, path):
        extend_splits(path, "default", PLACES)
    assert path.read_text() == content


def test_the_latest_text_of_each_person_is_the_target() -> None:
    texts = [
        Text("u", "second", timestamp=20, position=0),
        Text("u", "third", timestamp=30, position=1),
        Text("u", "first", timestamp=10, position=2),
        Text("v", "undated", position=3),
        Text("v", "undated and later", position=4),
        Text("w", "undated", position=9),
        Text("w", "dated", timestamp=1, position=0),
        Text("u", "another tenant's", namespace="other"),
    ]
    marked = latest_as_targets(texts)
    assert [text.body for text in marked] == [text.body for text in texts]
    assert [text.body for text in marked if text.target] == [
        "third",
        "undated and later",
        "dated",
        "another tenant's",
    ]
    assert latest_as_targets(texts[::-1]) == marked[::-1]
    assert not any(text.target for text in texts)
