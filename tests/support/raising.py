"""Expect an error by its type and code, and by the values that its message names."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

Raised = TypeVar("Raised", bound=Exception)


@contextmanager
def raises(
    error: type[Raised], code: str | None, *named: object
) -> Iterator[pytest.ExceptionInfo[Raised]]:
    """Expect an error.

    Args:
        error: Its type.
        code: Its `code`; None: the type is not ours and has none.
        named: What the message has to name: a path, a field, a command, never its wording.
    """
    with pytest.raises(error) as raised:
        yield raised
    assert getattr(raised.value, "code", None) == code
    message = str(raised.value)
    missing = [name for name in map(str, named) if name not in message]
    assert not missing, f"{missing} not in {message!r}"
