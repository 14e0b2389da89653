"""The one place that makes a filter: each names a namespace and escapes every value.

`Tables` takes nothing but `Filter`s, and only this module makes them, so no read can mix tenants by
forgetting a condition. The exceptions are named: `every_namespace` (upkeep and statistics),
`all_but` (the proof of forgetting), `markers` (the store's own rows) and `changed` (one
tenant's rows and those).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import InvalidFilter, shortened
from ..source_ids import AFTER_SEVERAL, SEVERAL

RESERVED_NAMESPACE = "__patlm__"
"""Where the store keeps rows of its own; no read of a tenant ever sees it."""


@dataclass(frozen=True)
class Filter:
    """A condition in LanceDB's SQL, made by the functions of this module only.

    Attributes:
        namespace: The one that all rows are of that meet it; None: several.
    """

    sql: str
    namespace: str | None = None


def _quoted(value: str) -> str:
    if "\x00" in value:
        raise InvalidFilter("expected an id without NUL characters: remove them from the id")
    return "'" + value.replace("'", "''") + "'"


def checked_namespace(namespace: str) -> str:
    """Return the namespace if it is one a tenant may use.

    Raises:
        InvalidFilter: If it is empty or the store's own.
    """
    if not namespace or namespace == RESERVED_NAMESPACE:
        raise InvalidFilter(
            f"expected the name of a namespace, got {shortened(namespace)}: "
            "name the tenant, 'default' if there is only one"
        )
    return namespace


def within(
    namespace: str,
    *,
    user: str | None = None,
    users: Iterable[str] | None = None,
    topics: Iterable[str] | None = None,
    text_ids: Iterable[str] | None = None,
    shared: bool | None = None,
) -> Filter:
    """Return the filter for one namespace, narrowed by whatever else is given.

    Raises:
        InvalidFilter: If the namespace is empty or reserved, or a value holds a NUL.
    """
    parts = [f"namespace = {_quoted(checked_namespace(namespace))}"]
    if user is not None:
        parts.append(f"user_id = {_quoted(user)}")
    for column, among in (("user_id", users), ("topic_id", topics), ("text_id", text_ids)):
        if among is not None:
            parts.append(_among(column, among))
    if shared is not None:
        parts.append("shared" if shared else "NOT shared")
    return Filter(" AND ".join(parts), namespace)


def _among(column: str, values: Iterable[str]) -> str:
    listed = _listed(list(values))
    # `IN ()` is a syntax error; nothing is among nothing.
    return f"{column} IN ({listed})" if listed else "false"


def _listed(values: Sequence[str]) -> str:
    together = "".join(values)
    if values and "'" not in together and "\x00" not in together:  # as ids of texts are
        return "'" + "', '".join(values) + "'"
    return ", ".join(map(_quoted, values))


def every_namespace(*, shared: bool | None = None, with_topic: bool = False) -> Filter:
    """Return the filter for all tenants' rows: upkeep and statistics only, never a request."""
    parts = [f"namespace != {_quoted(RESERVED_NAMESPACE)}"]
    if shared is not None:
        parts.append("shared" if shared else "NOT shared")
    if with_topic:
        parts.append("topic_id != ''")
    return Filter(" AND ".join(parts))


def all_but(removed: Filter) -> Filter:
    """Return the filter for every tenant's rows less some: the proof of forgetting."""
    return Filter(f"{every_namespace().sql} AND NOT ({removed.sql})")


def with_source_ids(namespace: str, users: Iterable[str], source_ids: Iterable[str]) -> Filter:
    """Return the filter for some users' texts that have one of some source ids, or several ids."""
    alone = _among("source_id", source_ids)
    several = f"source_id >= {_quoted(SEVERAL)} AND source_id < {_quoted(AFTER_SEVERAL)}"
    of_users = within(namespace, users=users).sql
    return Filter(f"{of_users} AND ({alone} OR ({several}))", namespace)


def changed(namespace: str, since: int) -> Filter:
    """Return the filter for one namespace's rows, and the store's own, written after a version."""
    names = (_quoted(checked_namespace(namespace)), _quoted(RESERVED_NAMESPACE))
    return Filter(f"stamp > {since:d} AND namespace IN ({', '.join(names)})")


def markers() -> Filter:
    """Return the filter for the rows that the store itself keeps."""
    return Filter(f"namespace = {_quoted(RESERVED_NAMESPACE)}")
