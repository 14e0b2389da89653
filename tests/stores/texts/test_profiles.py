"""Snapshots that take in what has changed are those that read everything again."""

import numpy as np
import pytest
from patlm.stores import Text
from patlm.stores.texts.schema import TOPICS, USERS, seen_schemas
from patlm.stores.texts.topics import TopicTotals, count_topics, rows_of_topics, topics_of_rows
from patlm.stores.texts.users import Users, UserTotals, count_users, rows_of_users, users_of_rows
from store_fixtures import TOPIC, style_encoder

SCHEMAS = seen_schemas(style_encoder(dimension=4), TOPIC)


def drawn(rng: np.random.Generator, count: int) -> tuple[list[Text], np.ndarray]:
    texts = [
        Text(
            user_id=f"u{rng.integers(30)}",
            topic_id=f"t{rng.integers(12)}" if rng.random() < 0.9 else "",
            body=f"{number}",
            rating=float(rng.integers(1, 6)) if rng.random() < 0.5 else None,
            shared=bool(rng.random() < 0.8),
        )
        for number in range(count)
    ]
    return texts, rng.integers(-8, 8, (count, 4)).astype(np.float32)


def seen(users: Users) -> dict[str, object]:
    return {
        name: (
            int(users.shared[row]),
            users.style[row].tolist(),
            {topic: str(rating) for topic, rating in users.edges(name).items()},
            bool(users.outside("t3")[row]),
            bool(users.on("t3")[row]),
        )
        for name, row in users.row.items()
    }


@pytest.mark.parametrize("seed", range(8))
def test_users_with_what_changed_are_those_read_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    totals: dict[tuple[str, str], UserTotals] = {}
    users = users_of_rows(rows_of_users({}, SCHEMAS[USERS]))
    for step in range(6):
        texts, vectors = drawn(rng, int(rng.integers(0, 12)))
        count_users(totals, texts, vectors)
        names = {text.user_id for text in texts}
        if step == 4 and totals:  # somebody takes all texts back, but is there still
            last = sorted(totals)[0]
            totals[last] = UserTotals(np.zeros(4), texts=1)
            names.add(last[1])
        some = {key: total for key, total in totals.items() if key[1] in names}
        users = users.updated(rows_of_users(some, SCHEMAS[USERS]))
        whole = users_of_rows(rows_of_users(totals, SCHEMAS[USERS]))
        assert users.ids == whole.ids == tuple(sorted(whole.ids))
        assert seen(users) == seen(whole)
        assert [users.ids[row] for row in users.row.values()] == list(users.row)


def test_topics_with_what_changed_are_those_read_again() -> None:
    rng = np.random.default_rng(5)
    totals: dict[tuple[str, str], TopicTotals] = {}
    topics = topics_of_rows(rows_of_topics({}, SCHEMAS[TOPICS]))
    for _ in range(6):
        texts, vectors = drawn(rng, 7)
        count_topics(totals, texts, np.repeat(vectors, 8, axis=1))
        names = {text.topic_id for text in texts}
        some = {key: total for key, total in totals.items() if key[1] in names}
        topics = topics.updated(rows_of_topics(some, SCHEMAS[TOPICS]))
        whole = topics_of_rows(rows_of_topics(totals, SCHEMAS[TOPICS]))
        assert (topics.ids, topics.row) == (whole.ids, whole.row)
        for name in ("shared", "sums", "units"):
            np.testing.assert_array_equal(getattr(topics, name), getattr(whole, name))
