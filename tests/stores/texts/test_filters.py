"""Every filter names a namespace and escapes what it is given."""

import pytest
from patlm.stores.errors import InvalidFilter
from patlm.stores.texts.filters import RESERVED_NAMESPACE, all_but, every_namespace, within
from raising import raises


def test_a_filter_begins_with_its_namespace() -> None:
    assert within("acme").sql == "namespace = 'acme'"
    assert (
        within("acme", user="ann", topics=["tea", "jam"], shared=True).sql
        == "namespace = 'acme' AND user_id = 'ann' AND topic_id IN ('tea', 'jam') AND shared"
    )


@pytest.mark.parametrize("namespace", ["", RESERVED_NAMESPACE])
def test_no_namespace_is_an_error_that_says_what_to_do(namespace: str) -> None:
    with raises(InvalidFilter, "invalid_filter", repr(namespace)):
        within(namespace)


def test_quotes_can_not_leave_their_value() -> None:
    assert within("a'b", users=["x' OR '1'='1"]).sql == (
        "namespace = 'a''b' AND user_id IN ('x'' OR ''1''=''1')"
    )


def test_among_nothing_is_nothing() -> None:
    assert within("acme", topics=[]).sql == "namespace = 'acme' AND false"


def test_nul_is_refused() -> None:
    with raises(InvalidFilter, "invalid_filter", "NUL"):
        within("acme", user="a\x00")


def test_upkeep_never_sees_the_stores_own_rows() -> None:
    assert every_namespace().sql == f"namespace != '{RESERVED_NAMESPACE}'"
    assert all_but(within("acme", user="ann")).sql == (
        f"namespace != '{RESERVED_NAMESPACE}' AND NOT (namespace = 'acme' AND user_id = 'ann')"
    )
