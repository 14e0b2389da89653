from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from patlm.stores.rows import vector_column
from patlm.stores.style_rows import MOST_PARTS, StyleRowsBuilder


def drawn(rng: np.random.Generator, count: int, begin: int = 0) -> pa.Table:
    vectors = rng.standard_normal((count, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return pa.table(
        {
            "text_id": [f"t{begin + at:05}" for at in range(count)],
            "user_id": [f"u{each}" for each in rng.integers(9, size=count)],
            "topic_id": [f"p{each}" for each in rng.integers(4, size=count)],
            "body": [""] * count,
            "style": vector_column(vectors),
        }
    )


def exact(rows: pa.Table, user: str, direction: np.ndarray, topics: set[str]) -> list[str]:
    near = [
        (-float(np.array(row["style"], np.float32) @ direction), row["text_id"])
        for row in rows.to_pylist()
        if row["user_id"] == user and row["topic_id"] in topics
    ]
    return [text_id for _, text_id in sorted(near)[:2]]


@pytest.mark.parametrize("batches", [1, 3, MOST_PARTS + 4])
def test_the_most_telling_texts_are_those_of_the_whole_vectors(batches: int) -> None:
    rng = np.random.default_rng(batches)
    tables = [drawn(rng, 60, 60 * at) for at in range(batches + 1)]
    builder = StyleRowsBuilder()
    for table in tables[:-batches]:
        builder.take(table)
    rows = builder.build()
    for table in tables[-batches:]:
        rows = rows.with_new(table)
    rows = rows.with_new(tables[-1].slice(0, 5))  # what is there already may come again
    whole = pa.concat_tables(tables)
    directions = {f"u{n}": rng.standard_normal(24).astype(np.float32) for n in (2, 7)}
    directions["stranger"] = directions["u2"]
    for topic, on_topic, left in (
        (None, False, {"p0", "p1", "p2", "p3"}),
        ("p1", False, {"p0", "p2", "p3"}),
        ("p1", True, {"p1"}),
    ):
        found = rows.most_telling(directions, topic, on_topic=on_topic, each=2)
        expected = [exact(whole, user, directions[user], left) for user in ("u2", "u7")]
        assert found == sum(expected, [])


def test_nothing_makes_nothing() -> None:
    rows = StyleRowsBuilder().build()
    assert len(rows) == 0
    assert rows.most_telling({"u1": np.ones(24, np.float32)}, None, on_topic=False, each=2) == []
