from typing import Any

from patlm.evaluation.targets import NoTargets, Target, targets_of
from patlm.stores import Text
from patlm.stores.datasets.splits import Place, deal
from raising import raises
from store_fixtures import text

TEXTS = [
    text("ann", "tea", "Green tea, warm.", title="Calm", rating=5.0, target=True),
    text("ann", "tea", "More of the same tea."),
    text("ann", "jam", "Sweet jam."),
    text("ann", "", "No topic."),
    text("bob", "tea", "Strong tea!", title="", rating=2.0, target=True),
    text("cat", "milk", "Cold milk.", title="Milk", target=True),
]


def targets(task: Any, texts: list[Text] = TEXTS, **given: Any) -> list[Target]:
    splits = deal(Place.of(each) for each in texts)
    return targets_of("data", texts, task, splits=splits, **given)


def by_user(found: list[Target]) -> dict[str, Target]:
    return {target.text.user_id: target for target in found}


def test_each_task_asks_with_what_it_has_and_hides_what_is_to_be_written() -> None:
    long, short = by_user(targets("long")), by_user(targets("short"))
    assert set(long) == set(short) == {"ann", "cat"}  # bob has no title
    assert long["ann"].real == "Green tea, warm."
    assert "Green" not in str(long["ann"].request) and long["ann"].request["title"] == "Calm"
    assert short["ann"].real == "Calm" and short["ann"].request["text"] == "Green tea, warm."
    assert "Calm" not in str(short["ann"].request)
    rating = by_user(targets("rating"))
    assert set(rating) == {"ann", "bob"}
    assert rating["bob"].real == "2" and "rating" not in rating["bob"].request


def test_own_texts_are_those_on_other_topics() -> None:
    found = by_user(targets("long"))
    assert (found["ann"].own, found["ann"].bucket) == (2, "2+")
    assert (found["cat"].own, found["cat"].bucket) == (0, "0")
    assert set(by_user(targets("long", least_own=1))) == {"ann"}


def test_a_row_of_one_input_is_asked_by_it() -> None:
    rows = [
        text("row", "", "The abstract.", title="Write an abstract of: trees", target=True),
        text("three", "", "4", title="What is the score of: good", target=True),
    ]
    free = by_user(targets("free", rows, one_input=True))
    assert free["row"].request["instruction"] == "Write an abstract of: trees"
    rating = by_user(targets("rating", rows, one_input=True))
    assert set(rating) == {"three"} and rating["three"].real == "4"
    assert rating["three"].request["text"] == "What is the score of: good"


def test_the_order_is_that_of_hashed_ids_so_the_first_are_a_sample() -> None:
    found = targets("long")
    assert [target.id for target in found] == sorted(target.id for target in found)
    assert found == targets("long", TEXTS[::-1])


def test_only_the_split_that_is_asked_for() -> None:
    texts = [text(f"u{n}", f"t{n}", "Body.", title="T", target=True) for n in range(20)]
    parts = {split: targets("long", texts, split=split) for split in ("train", "gate", "report")}
    assert {split: len(found) for split, found in parts.items()} == {
        "train": 12,
        "gate": 3,
        "report": 5,
    }


def test_files_without_targets_are_refused() -> None:
    with raises(NoTargets, "no_targets"):
        targets("long", [text("ann", "jam", "Sweet jam.")])
    with raises(NoTargets, "no_targets", "rating"):
        targets("rating", [TEXTS[5]])
    with raises(NoTargets, "no_targets", 2, 9):
        targets("long", least_own=9)
