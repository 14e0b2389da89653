"""An ingest counts every row once, lists the rejects, and ends the same however often it runs."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.ingest import Ingested, check_scale, ingest
from patlm.stores.datasets.splits import SplitsError
from patlm.stores.datasets.validation import FormatError, Reject, Row
from patlm.stores.errors import StoreError
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Added, Text
from patlm.stores.values import RatingScale
from pyarrow import parquet
from raising import raises
from store_fixtures import style_encoder, topic_encoder


def write_rows(path: Path, ratings: Iterable[object]) -> Path:
    """Write rows as JSON or CSV; one without a rating has no such key in JSON."""
    rows = [
        {"user": "u", "text": f"{path.stem}, no. {at}", "rating": r} for at, r in enumerate(ratings)
    ]
    if path.suffix == ".csv":
        lines = [
            "user,text,rating",
            *(f'{r["user"]},"{r["text"]}",{r["rating"] or ""}' for r in rows),
        ]
        path.write_text("\n".join(lines))
    else:
        said = [{key: value for key, value in row.items() if value is not None} for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in said))
    return path


LATE = [*[None] * 300, 2, 4, 6, 8, 10]


def late_in_a_file(folder: Path) -> Path:
    return write_rows(folder / "a.jsonl", LATE)


def late_in_a_folder(folder: Path, suffix: str) -> Path:
    part = folder / "parts"
    part.mkdir()
    if suffix == "parquet":
        users = {"user": ["u"] * 5, "text": list("abcde")}
        parquet.write_table(pa.table(users), part / "train-00000-of-00002.parquet")
        parquet.write_table(
            pa.table({**users, "rating": LATE[-5:]}), part / "train-00001-of-00002.parquet"
        )
    else:
        write_rows(part / f"train-00001-of-00002.{suffix}", LATE[-5:])
        first = part / f"train-00000-of-00002.{suffix}"
        first.write_text(
            "user,text\nu,one\n" if suffix == "csv" else '{"user": "u", "text": "one"}'
        )
    return part


@pytest.mark.parametrize("suffix", ["", "jsonl", "csv", "parquet"])
async def test_a_late_column_of_ratings_is_asked_about(
    tmp_path: Path, store: TextStore, suffix: str
) -> None:
    path = late_in_a_folder(tmp_path, suffix) if suffix else late_in_a_file(tmp_path)
    with raises(FormatError, "rating_scale_unknown", "--rating-scale"):
        await ingest(store, read_texts(path))
    done = await ingest(store, read_texts(path, scale=RatingScale(0, 10)))
    assert done.rejected == 0 and store.rating_scale == RatingScale(0, 10)
    assert sum(text.rating is not None for text in await store.shared_texts("default")) == 5


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
async def test_a_column_without_a_rating_fits_any_scale(
    tmp_path: Path, store: TextStore, suffix: str
) -> None:
    empty, ten = tmp_path / f"empty.{suffix}", write_rows(tmp_path / "ten.csv", [1, 10])
    assert (await ingest(store, read_texts(write_rows(empty, ["", None])))).added == 2
    assert (await ingest(store, read_texts(ten, scale=RatingScale(1, 10)))).added == 2
    assert (await ingest(store, read_texts(write_rows(empty, [None, ""])))).duplicates == 2
    for five in (write_rows(tmp_path / "five.csv", [5]), "1-5"):
        scale = None if isinstance(five, Path) else RatingScale.parse(five)
        file = five if isinstance(five, Path) else empty
        with raises(StoreError, "other_rating_scale", "1-10"):
            await ingest(store, read_texts(file, scale=scale))


async def test_all_processes_see_the_scale_that_one_sets(tmp_path: Path) -> None:
    encoders = {"style_encoder": style_encoder(), "topic_encoder": topic_encoder()}
    uri, ten = str(tmp_path / "store"), RatingScale(1, 10)
    async with TextStore.open(uri, **encoders) as one, TextStore.open(uri, **encoders) as other:

        async def set_meanwhile() -> None:
            await other.use_rating_scale(ten)

        def rows() -> Iterator[Text]:
            yield Text("u", "Read on 1-5, without a rating.")
            asyncio.run(set_meanwhile())
            yield Text("u", "Read on 1-5.", rating=5)

        with raises(StoreError, "other_rating_scale", "1-10", "1-5"):
            await one.add(rows())
        assert await one.read_rating_scale() == one.rating_scale == ten
        await other.add([Text("v", "Ten of ten.", rating=10)])
        with raises(StoreError, "other_rating_scale"):
            await one.use_rating_scale(RatingScale())
        await other.add([Text("v", "And again.", rating=9)])
    async with TextStore.open(uri, **encoders) as reader:
        assert reader.rating_scale == ten


class Killed(Exception):
    """Stands for the end of a process."""


class ListStore:
    """Keeps texts as a store does, in batches of two, and can be killed after so many."""

    def __init__(self, lives: int | None = None) -> None:
        self.texts: dict[str, Text] = {}
        self.lives = lives

    async def use_rating_scale(self, scale: RatingScale) -> None:
        """Take any scale."""

    async def add(self, texts: Iterable[Text]) -> Added:
        source, total = iter(texts), Added()
        while batch := await asyncio.to_thread(lambda: list(islice(source, 2))):
            if self.lives == 0:
                raise Killed
            self.lives = None if self.lives is None else self.lives - 1
            new = {text.text_id: text for text in batch if text.text_id not in self.texts}
            self.texts.update(new)
            total += Added(len(new), len(batch) - len(new))
        return total


def rows() -> Iterator[Row]:
    for number in range(10):
        yield Text(f"user {number}", f"text {number}", topic_id=f"t{number % 3}", target=True)
        yield Text(f"user {number}", f"own text of {number}", topic_id=f"t{(number + 1) % 3}")
        if number % 4 == 0:
            yield Reject(number + 1, "no text")
    yield Text("user 0", "text 0", topic_id="t0", target=True)  # stood above


def counts(done: Ingested) -> tuple[int, int, int, int]:
    return done.rows, done.added, done.duplicates, done.rejected


async def test_rows_are_added_duplicates_and_rejects(tmp_path: Path) -> None:
    listed = tmp_path / "new folder" / "rejects.jsonl"
    done = await ingest(ListStore(), rows(), rejects_file=listed)
    assert counts(done) == (24, 20, 1, 3)
    assert (done.targets, done.shared_ids, done.forgotten) == (11, 0, 0)
    assert done.rejects_file == listed
    assert done.first_reject == Reject(1, "no text")
    lines = listed.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"line": 1, "reason": "no text", "code": "row"},
        {"line": 5, "reason": "no text", "code": "row"},
        {"line": 9, "reason": "no text", "code": "row"},
    ]
    texts = (row for row in rows() if isinstance(row, Text))
    assert (await ingest(ListStore(), texts, rejects_file=listed)).rejects_file is None
    assert not listed.exists(), "the list of another run"


async def test_a_repeat_adds_nothing_and_leaves_the_same_files(tmp_path: Path) -> None:
    store, files = ListStore(), (tmp_path / "rejects.jsonl", tmp_path / "splits.json")
    await ingest(store, rows(), rejects_file=files[0], splits_file=files[1])
    before = [path.read_bytes() for path in files]
    done = await ingest(store, rows(), rejects_file=files[0], splits_file=files[1])
    assert counts(done) == (24, 0, 21, 3)
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("lives", range(11))
async def test_a_killed_ingest_run_again_ends_the_same(tmp_path: Path, lives: int) -> None:
    whole, broken = ListStore(), ListStore(lives)
    await ingest(whole, rows(), rejects_file=tmp_path / "a", splits_file=tmp_path / "a.json")
    with pytest.raises(Killed):
        await ingest(broken, rows(), rejects_file=tmp_path / "b", splits_file=tmp_path / "b.json")
    assert len(broken.texts) == 2 * lives
    assert not (tmp_path / "b").exists()
    broken.lives = None
    done = await ingest(
        broken, rows(), rejects_file=tmp_path / "b", splits_file=tmp_path / "b.json"
    )
    assert counts(done) == (24, 20 - 2 * lives, 1 + 2 * lives, 3)
    assert broken.texts == whole.texts
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()


@pytest.mark.parametrize("kept", [True, False])
def test_a_file_is_read_once_for_its_scale_unless_it_is_large(tmp_path: Path, kept: bool) -> None:
    path, body = tmp_path / "texts.jsonl", "a" * (100 if kept else 90_000)
    line = json.dumps({"user_id": "u", "text": body, "rating": 3})
    path.write_text(f"{line}\n" * 360 + '{"user_id": "u"}\n')
    file = read_texts(path)
    checked, whole = check_scale(file), list(read_texts(path))
    if kept:
        path.unlink()
    first, *others = checked
    assert [first, *others] == whole
    assert len(whole) == 361


def test_positions_of_a_file_that_is_kept_are_those_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"user_id": "u", "text": "t", "rating": 3}\n' * 3)
    file = read_texts(path)
    positions = [file.position for _ in check_scale(file)]
    assert positions == sorted(set(positions))
    assert positions[0] < file.size


async def test_damaged_splits_stop_it_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_text("{")
    store = ListStore()
    with pytest.raises(SplitsError):
        await ingest(store, rows(), rejects_file=tmp_path / "rejects", splits_file=path)
    assert store.texts == {}
    assert list(tmp_path.iterdir()) == [path]


async def test_a_real_store_takes_the_same(tmp_path: Path) -> None:
    uri, path = str(tmp_path / "store"), tmp_path / "store" / "splits.json"
    encoders = {"style_encoder": style_encoder(), "topic_encoder": topic_encoder()}
    async with TextStore.open(uri, **encoders) as store:
        done = await ingest(store, rows(), splits_file=path)
        assert counts(done) == (24, 20, 1, 3)
        history = await store.history("default", "user 3")
        assert [text.body for text in history.texts] == ["own text of 3"]  # not the target
    async with TextStore.open(uri, **encoders) as store:
        assert counts(await ingest(store, rows(), splits_file=path)) == (24, 0, 21, 3)
        assert (await store.stats()).texts == 20


async def test_a_user_forgotten_meanwhile_does_not_come_back(tmp_path: Path) -> None:
    encoders = {"style_encoder": style_encoder(), "topic_encoder": topic_encoder()}
    async with TextStore.open(str(tmp_path / "store"), **encoders) as store:
        loop = asyncio.get_running_loop()

        def slow_rows() -> Iterator[Row]:
            for number in range(1200):  # more than two batches of the store
                if number == 600:
                    forgetting = store.forget("default", "gone")
                    asyncio.run_coroutine_threadsafe(forgetting, loop).result()
                yield Text("gone" if number % 10 == 0 else "stays", f"text number {number}")

        done = await ingest(store, slow_rows())
        assert (await store.history("default", "gone")).texts == ()
        assert len((await store.history("default", "stays")).texts) == 1080
        # 52 of the first 512 had been kept before the user left; the later 68 were dropped.
        assert (done.added, done.forgotten) == (1080 + 52, 68)


@pytest.mark.parametrize("highest", [10, 100])
async def test_a_file_of_another_scale_is_a_question_for_programs_too(
    tmp_path: Path, store: TextStore, highest: int
) -> None:
    file, ratings = tmp_path / "films.jsonl", [highest * tenth // 10 for tenth in range(1, 11)]
    rows = [{"user": "u", "text": f"No. {rating}", "rating": rating} for rating in ratings]
    file.write_text("\n".join(map(json.dumps, rows)))
    with raises(FormatError, "rating_scale_unknown", "--rating-scale"):
        await ingest(store, read_texts(file))
    assert (await store.stats()).texts == 0
    scale = RatingScale(1, highest)
    assert (await ingest(store, read_texts(file, scale=scale))).added == 10
    assert store.rating_scale == scale
    file.write_text('{"user": "u", "text": "Five.", "rating": 5}')
    with raises(StoreError, "other_rating_scale", f"1-{highest}", "1-5"):
        await ingest(store, read_texts(file))
