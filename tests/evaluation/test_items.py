from pathlib import Path

from patlm.evaluation.cache import Answers
from patlm.evaluation.items import Item, ItemFile, ItemKey


def item(target: str, **given: object) -> Item:
    key = ItemKey(target, "both", "made", "all", 0)
    return Item(
        **{"key": key, "data": "d", "task": "long", "user": "u", "topic": "t", "own": 0, **given}
    )  # type: ignore[arg-type]


def test_items_come_back_as_they_were(tmp_path: Path) -> None:
    file = ItemFile(tmp_path / "items.jsonl")
    full = item(
        "a",
        draft="naïve\nlines",
        metrics={"quality": 0.25, "length": 12.0},
        summaries={"style": None, "preference": "They like it."},
        evidence={"style": [("id", 0.5)]},
        leaks=(0, 2),
    )
    file.append(full)
    file.append(item("b", failed="no weights"))
    again = ItemFile(tmp_path / "items.jsonl")
    assert list(again.items.values()) == [full]  # a failed one is tried again


def test_a_torn_line_costs_that_item_alone(tmp_path: Path) -> None:
    place = tmp_path / "items.jsonl"
    file = ItemFile(place)
    for name in "abc":
        file.append(item(name))
    place.write_bytes(place.read_bytes()[:-40])
    torn = ItemFile(place)
    assert [key.target for key in torn.items] == ["a", "b"]
    torn.append(item("d"))
    assert [key.target for key in ItemFile(place).items] == ["a", "b", "d"]


def test_a_line_of_another_version_is_no_item(tmp_path: Path) -> None:
    place = tmp_path / "items.jsonl"
    file = ItemFile(place)
    file.append(item("a"))
    place.write_text(place.read_text().replace('"version": 1', '"version": 99'))
    assert ItemFile(place).items == {}


def test_answers_are_kept_once_and_shared_by_processes(tmp_path: Path) -> None:
    one, two = Answers(tmp_path / "a.sqlite"), Answers(tmp_path / "a.sqlite")
    one.put("key", {"text": "first"})
    two.put("key", {"text": "second"})
    assert one.get("key") == two.get("key") == {"text": "first"}
    assert one.get("other") is None
    one.close()
    two.close()
