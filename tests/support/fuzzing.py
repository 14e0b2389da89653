"""Generated inputs: how many examples each fuzz test runs, and values that anybody may send."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patlm.models.errors import ModelError
from patlm.stores.errors import CodedError
from processes import ROOT

EXAMPLES = {False: 200, True: 10_000}
"""How many there are of all parts together, in the default suite and with the slow tests."""
SHARES = {"rows": 0.5, "texts": 0.3, "calls": 0.05, "commands": 0.15}  # calls take the longest

EACH = pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.slow)])


def run_examples(part: str, many: bool, strategy: st.SearchStrategy[Any], test: Any) -> None:
    """Run a test on examples of a strategy, as many as are this part's.

    Args:
        part: One of `SHARES`.
        many: Whether slow tests run.
        strategy: Gives an example.
        test: Takes one, and raises if it fails.
    """
    assert math.isclose(sum(SHARES.values()), 1)

    @settings(
        max_examples=round(SHARES[part] * EXAMPLES[many]),
        derandomize=True,  # a run of CI depends on the code alone
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(example: Any) -> None:
        test(example)

    run()


WORDS = st.text(st.characters(exclude_categories=()), max_size=40)
"""Any characters, lone surrogates too."""

ODD_WORDS = st.sampled_from(
    ["", " ", "nan", "null", "None", "true", "0", "-1", "1e400", "\x00", "a\x1fb", "\ud800", "'"]
    + ["\u202e", "🏳️‍🌈", "2024-02-30", "9999-12-31", "-0", "٣", "x" * 600, "long " * 5_000]
    + ["__patlm__", "../..", "{}", "[" * 500, "<|im_end|>", "%s %d {0}", "\r\n", "\ufeff"]
)
_NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1, 5, 10**400, -(10**30), math.inf, math.nan, 1e308, 2**63, 2**53]),
)
_OBJECTS = st.sampled_from(
    [None, True, False, b"x", object(), Decimal("4.5"), Decimal("sNaN"), Fraction(1, 3), 3j]
    + [np.float32(4), np.int64(2**60), np.float64("nan"), np.datetime64("NaT"), np.bool_(True)]
    + [np.str_("x"), np.array([1, 2]), np.datetime64("2024-01-01"), date(2024, 1, 1), range(3)]
    + [datetime(2024, 1, 1), datetime.max, datetime.min.replace(tzinfo=UTC), timedelta(days=1)]
    + [Path("x"), ValueError("x"), type, len, frozenset("a"), iter(())]
)
VALUES = st.one_of(
    WORDS,
    ODD_WORDS,
    _NUMBERS,
    _OBJECTS,
    st.lists(st.one_of(WORDS, _NUMBERS, _OBJECTS), max_size=3),
    st.dictionaries(st.one_of(WORDS, _NUMBERS), st.one_of(WORDS, _NUMBERS), max_size=3),
)
"""What a caller may hand over by mistake or on purpose."""


def fields(
    good: dict[str, list[Any]], most_wrong: int = 2, unknown: bool = True
) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy of arguments: most of them good, some of them anything.

    Args:
        good: Good values of each argument.
        most_wrong: How many may have another value.
        unknown: Whether they may have other names, too; Python itself refuses some of those.
    """
    right = st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in good.items()}
    )
    names = st.one_of(st.sampled_from(list(good)), WORDS if unknown else st.nothing())
    wrong = st.dictionaries(names, VALUES, max_size=most_wrong)
    return st.builds(lambda one, other: {**one, **other}, right, wrong)


_CODES = (ROOT / "docs/errors.md").read_text(encoding="utf-8")


async def result_or_error(call: Callable[[], Any]) -> Any:
    """Return what a call gives, or the error of ours that it raises; any other one is a fault."""
    try:
        return await call()
    except (CodedError, ModelError) as error:
        said = str(error)
        assert said and "\n" not in said and len(said) < 4_000, said
        assert f"`{error.code}`" in _CODES
        return error
