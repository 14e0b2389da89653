"""The schemas, and what is said of a request that can't be answered."""

from typing import Any

import pytest
from patlm.nodes.errors import RequestError
from patlm.nodes.state import (
    LoopState,
    Request,
    Result,
    RunContext,
    is_first_step,
    read_request,
    validate_request,
)
from patlm.stores.values import RatingScale
from pydantic import BaseModel
from raising import raises


@pytest.mark.parametrize("schema", [Request, RunContext, Result])
def test_every_field_is_described_and_optional_ones_have_a_default(schema: type[BaseModel]) -> None:
    undescribed = [name for name, field in schema.model_fields.items() if not field.description]
    assert not undescribed
    needed = {name for name, field in schema.model_fields.items() if field.is_required()}
    assert needed == ({"user_id", "task"} if schema is Request else set())
    for name, field in schema.model_json_schema()["properties"].items():
        assert name in needed or "default" in field or "items" in field or "object" in str(field)


def test_the_defaults_are_those_of_the_design() -> None:
    context = RunContext()
    assert (context.namespace, context.k, context.max_iterations) == ("default", None, 2)
    assert (context.mode, context.sides, context.max_tokens) == (None, None, None)
    assert (context.deadline_s, context.adapters, context.seed) == (120, None, 0)
    assert context.strategies == {"style": "aligned", "preference": "aligned"}
    assert Request(user_id="u", task="long").language == "en"


@pytest.mark.parametrize(
    ("fields", "field", "named"),
    [
        ({"task": "long", "title": "t"}, "user_id", "user_id"),
        ({"user_id": "  ", "task": "long", "title": "t"}, "user_id", "user_id"),
        ({"user_id": "u", "title": "t"}, "task", "task"),
        ({"user_id": "u", "task": "poem", "title": "t"}, "task", "'poem'"),
        ({"user_id": "u", "task": "long"}, "title", "title"),
        ({"user_id": "u", "task": "rating"}, "text", "text"),
        ({"user_id": "u", "task": "free"}, "instruction", "instruction"),
        ({"user_id": "u", "task": "rating", "text": "x", "rating": -6}, "rating", "-6"),
        ({"user_id": "u", "task": "rating", "text": "x", "rating": "good"}, "rating", "'good'"),
        ({"user_id": 7.5, "task": "long", "title": "t"}, "user_id", "7.5"),
        ({"user_id": "nan", "task": "long", "title": "t"}, "user_id", "user_id"),
        ({"user_id": "u", "task": "long", "title": "None"}, "title", "title"),
        (
            {"user_id": "u", "task": "long", "title": "t", "language": "english"},
            "language",
            "language",
        ),
    ],
)
def test_a_wrong_request_is_told_in_one_line(
    fields: dict[str, Any], field: str, named: str
) -> None:
    with raises(RequestError, "invalid_request", named) as caught:
        validate_request(fields)
    assert caught.value.field == field and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "user", "topic"),
    [
        ({"user_id": " u-gus ", "topic_id": " lamp "}, "u-gus", "lamp"),
        ({"user_id": "jose\u0301", "topic_id": None}, "jos\u00e9", None),
        ({"user_id": 123, "topic_id": 45.0}, "123", "45"),
        ({"user_id": "123.0", "topic_id": "nan"}, "123", ""),
    ],
)
def test_ids_of_a_request_are_read_as_those_of_texts(
    given: dict[str, Any], user: str, topic: str | None
) -> None:
    request = validate_request({"task": "long", "title": "t", "language": "EN", **given})
    assert (request.user_id, request.topic_id, request.language) == (user, topic, "en")
    assert Request.model_validate(request.model_dump()) == request


def test_a_rating_is_checked_on_the_scale_of_the_store() -> None:
    request = validate_request({"user_id": "u", "task": "rating", "text": "x", "rating": 8})
    assert request.on_scale(RatingScale(0, 10)).scale == RatingScale(0, 10)
    with raises(RequestError, "invalid_request", 8, "1 to 5") as caught:
        request.on_scale(RatingScale())
    assert caught.value.field == "rating"


def test_a_first_step_is_told_by_any_field_of_the_request() -> None:
    earlier: dict[str, Any] = {"request": {"user_id": "old", "task": "long", "title": "old"}}
    assert not is_first_step(LoopState(**earlier))
    for field, value in {"user_id": "u", "title": "t", "language": "en"}.items():
        assert is_first_step(LoopState(**earlier, **{field: value}))  # type: ignore[typeddict-item]
    with raises(RequestError, "invalid_request") as raised:
        read_request(LoopState(**earlier, title="new"))
    assert raised.value.field == "user_id"
    assert is_first_step(LoopState(request={})), "a run that ended leaves no request behind"
