import numpy as np
import pyarrow as pa
import pytest
from patlm.stores.texts.arrow import on_grid, vector_column, vectors_of
from patlm.stores.texts.resident import RATIO, Resident, ResidentBuilder

COLUMNS = ["text_id", "user_id", "style"]


def drawn(rng: np.random.Generator, count: int, begin: int = 0, *, grid: bool = True) -> pa.Table:
    vectors = rng.standard_normal((count, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return pa.table(
        {
            "text_id": [f"t{begin + at:05}" for at in range(count)],
            "user_id": [f"u{each}" for each in rng.integers(9, size=count)],
            "topic_id": [f"p{each}" for each in rng.integers(4, size=count)],
            "shared": rng.random(count) < 0.9,
            "style": vector_column(on_grid(vectors) if grid else vectors),
        }
    )


def built(*batches: pa.Table) -> Resident:
    builder = ResidentBuilder()
    for batch in batches:
        builder.take(batch)
    return builder.build()


def ids(rows: pa.Table) -> list[str]:
    return sorted(rows.column("text_id").to_pylist())


def exact(rows: pa.Table, user: str, direction: np.ndarray, topics: set[str]) -> list[str]:
    near = [
        (-float(np.array(row["style"], np.float32) @ direction), row["text_id"])
        for row in rows.to_pylist()
        if row["user_id"] == user and row["topic_id"] in topics and row["shared"]
    ]
    return [text_id for _, text_id in sorted(near)[:2]]


@pytest.mark.parametrize("sizes", [[60], [60, 60], [600, 60, 60, 5, 5, 1]])
def test_all_that_came_is_found(sizes: list[int]) -> None:
    rng = np.random.default_rng(len(sizes))
    tables = [drawn(rng, size, 1_000 * at) for at, size in enumerate(sizes)]
    resident = built(tables[0].slice(0, 7), tables[0].slice(7))
    for table in tables[1:]:
        resident = resident.with_new(table)
    assert resident.with_new(tables[-1].slice(0, 5)) is resident  # it may come again
    assert len(resident) == sum(sizes)
    for before, after in zip(resident.parts, resident.parts[1:], strict=False):
        assert len(before) >= RATIO * len(after)
    whole = pa.concat_tables(tables)
    rows = whole.to_pylist()
    some = ["t00003", "t00059", "elsewhere"]
    assert ids(resident.by_ids(some, COLUMNS)) == some[:2]
    of_two = [row["text_id"] for row in rows if row["user_id"] in ("u2", "u7")]
    assert ids(resident.by_users(["u2", "u7", "stranger"], COLUMNS)) == sorted(of_two)
    on_one = [row["text_id"] for row in rows if row["topic_id"] == "p1" and row["shared"]]
    assert ids(resident.by_topics(["p1"], COLUMNS)) == sorted(on_one)


def test_vectors_are_those_that_are_stored() -> None:
    rows = drawn(np.random.default_rng(1), 40)
    resident = built(rows)
    assert resident.parts[0].rows.schema.field("style").type.value_type == pa.float16()
    found = resident.by_ids(rows.column("text_id").to_pylist(), COLUMNS)
    assert np.array_equal(vectors_of(found, "style"), vectors_of(rows, "style"))


@pytest.mark.parametrize("later", [0, 40])
def test_the_most_telling_texts_are_found(later: int) -> None:
    rng = np.random.default_rng(later)
    tables = [drawn(rng, 400), *([drawn(rng, later, 500)] if later else [])]
    resident = built(tables[0])
    for table in tables[1:]:
        resident = resident.with_new(table)
    whole = pa.concat_tables(tables)
    directions = {f"u{n}": rng.standard_normal(24).astype(np.float32) for n in (2, 7)}
    directions["stranger"] = directions["u2"]
    for topic, on_topic, left in (
        (None, False, {"p0", "p1", "p2", "p3"}),
        ("p1", False, {"p0", "p2", "p3"}),
        ("p1", True, {"p1"}),
        ("elsewhere", True, set()),
    ):
        rows = resident.most_telling(directions, topic, COLUMNS, on_topic=on_topic, each=2)
        for user in ("u2", "u7"):
            best = exact(whole, user, directions[user], left)
            found = [row["text_id"] for row in rows.to_pylist() if row["user_id"] == user]
            assert set(best) <= set(found)
            assert len(found) <= 2 * len(resident.parts)
        assert "stranger" not in rows.column("user_id").to_pylist()
