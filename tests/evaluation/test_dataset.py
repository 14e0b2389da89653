import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from patlm.evaluation.dataset import open_benchmark, read_benchmark, store_fingerprint
from patlm.graph import open as opening
from patlm.stores.datasets.validation import FormatError
from patlm.stores.values import FIVE_STARS, RatingScale
from planted import write_planted
from raising import raises
from store_fixtures import cheap_encoders


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)


def test_the_latest_text_is_the_target_where_none_is_marked(tmp_path: Path) -> None:
    data = read_benchmark(write_planted(tmp_path / "p.jsonl", people=5))
    targets = [text for text in data.texts if text.target]
    assert len(data.texts) == 20 and len(targets) == 5
    for target in targets:
        own = [text.timestamp or 0 for text in data.texts if text.user_id == target.user_id]
        assert target.timestamp == max(own)


def test_cleaning_is_off_unless_asked_for(tmp_path: Path) -> None:
    profile = [{"rating": 5, "title": "T", "text": "It was fine. ... More", "pid": 1}]
    file = tmp_path / "hotel_dev.json"
    file.write_text(json.dumps([{"id": "ann", "profile": profile}]))
    assert [text.body for text in read_benchmark(file).texts] == ["It was fine. ... More"]
    cleaned = read_benchmark(file, ["more"])
    assert [text.body for text in cleaned.texts] == ["It was fine."]
    assert cleaned.cleanings == ("more",)


def test_stores_with_other_people_hidden_are_other_stores(tmp_path: Path) -> None:
    data = read_benchmark(write_planted(tmp_path / "p.jsonl", people=5))
    hidden = [{"a,b"}, {"a", "b"}, {"a\\", "b"}, {"a\\,b"}, set()]
    assert len({store_fingerprint(data, frozenset(each)) for each in hidden}) == len(hidden)


def test_a_file_without_a_text_is_told_of(tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text('{"user_id": "u", "text": ""}\n{"user_id": "u", "text": " "}')
    with raises(FormatError, "no_texts", "empty.jsonl"):
        read_benchmark(file)


async def test_a_store_is_filled_once_and_what_it_is_made_of_tells_it_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache = read_benchmark(write_planted(tmp_path / "p.jsonl", people=5)), tmp_path / "c"
    filled: list[int] = []

    async def open_it(unshared: Sequence[str] = ()) -> tuple[int, int]:
        opened = open_benchmark(
            data, cache, unshared=unshared, progress=lambda done, of: filled.append(done)
        )
        async with opened as (store, _):
            stats = await store.stats()
            return stats.texts, stats.shared

    assert await open_it() == (20, 20)
    assert await open_it() == (20, 20)
    assert filled == [20]
    assert await open_it(["person 0 of many"]) == (20, 16)
    assert filled == [20, 20]
    assert sorted(path.name[:2] for path in cache.iterdir()) == ["p-", "p-"]


async def test_a_store_that_was_not_filled_to_the_end_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache = read_benchmark(write_planted(tmp_path / "p.jsonl", people=5)), tmp_path / "c"

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with open_benchmark(data, cache, progress=stop):
            pass
    assert list(cache.iterdir()) == []


def write_rated(file: Path, ratings: Sequence[object]) -> Path:
    rows = [
        {"user_id": f"u{n % 5}", "text": f"A review, number {n}.", "topic": "t", "rating": rating}
        for n, rating in enumerate(ratings)
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


@pytest.mark.parametrize("ratings", [range(1, 11), range(11), range(0, 101, 10)])
def test_ratings_beyond_five_are_a_question(tmp_path: Path, ratings: Sequence[int]) -> None:
    with raises(FormatError, "rating_scale_unknown", "--rating-scale"):
        read_benchmark(write_rated(tmp_path / "ten.jsonl", ratings))


async def test_the_scale_of_the_data_is_that_of_its_store(tmp_path: Path) -> None:
    file = write_rated(tmp_path / "ten.jsonl", range(1, 11))
    data = read_benchmark(file, scale=RatingScale(1, 10))
    assert (data.scale, data.rejected) == (RatingScale(1, 10), 0)
    assert sorted(text.rating or 0 for text in data.texts) == list(range(1, 11))
    async with open_benchmark(data, tmp_path / "c") as (store, _):
        assert store.rating_scale == RatingScale(1, 10)


def test_stores_of_two_scales_are_two(tmp_path: Path) -> None:
    file = write_rated(tmp_path / "four.jsonl", [1, 2, 3, 4])
    five, same, ten = (
        store_fingerprint(read_benchmark(file, scale=scale))
        for scale in (None, FIVE_STARS, RatingScale(1, 10))
    )
    assert five == same != ten


def test_a_format_knows_its_scale(tmp_path: Path) -> None:
    file = tmp_path / "imdb62.txt"
    file.write_text("".join(f"{n}\t7\t10{n}\t{n}.0\tTitle {n}\tText {n}.\n" for n in range(1, 11)))
    data = read_benchmark(file)
    assert (data.scale, len(data.texts)) == (RatingScale(1, 10), 10)
