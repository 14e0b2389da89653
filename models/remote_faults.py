"""What went wrong at a remote server: read from whatever its SDK raised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Protocol, runtime_checkable

_MAY_PASS = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_LONGEST_MESSAGE = 300


class CutOffError(Exception):
    """A stream that ended in good order before the answer did."""


@dataclass(frozen=True)
class Fault:
    """One failed attempt.

    Attributes:
        says: What came, in a line.
        status: HTTP status; None where there was no whole answer.
        retry_after_s: Seconds that the server asks to be left alone; None: it does not say.
    """

    says: str
    status: int | None = None
    retry_after_s: float | None = None

    @property
    def transient(self) -> bool:
        """Whether the same request may be answered later."""
        return self.status is None or self.status in _MAY_PASS or self.status >= 500

    @property
    def busy(self) -> bool:
        """Whether the server is well and has too much to do."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS

    def denies(self, model: str) -> bool:
        """Whether the server says that it has no such model."""
        # vLLM answers 404, transformers' server 400 with the name of the model.
        named = self.status == HTTPStatus.BAD_REQUEST and model in self.says
        return named or self.status == HTTPStatus.NOT_FOUND


def read_fault(error: Exception) -> Fault:
    """Return what an SDK's error tells.

    What holds no HTTP status (no connection, a reset, half an answer, one that can't be read)
    counts as transient: SDKs raise all kinds there, and asking again does no harm.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, _Answered):
            retry_after = cause.response.headers.get("retry-after")
            return Fault(_words(cause), cause.status_code, _seconds(retry_after))
    if isinstance(error, CutOffError):
        return Fault(str(error))
    root = causes[-1]
    return Fault(_one_line(f"{type(root).__name__}: {root}"))


class _Response(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


@runtime_checkable
class _Answered(Protocol):
    """The errors of the SDKs of OpenAI, Anthropic and their kin where a server said no."""

    status_code: int
    response: _Response
    body: object | None


def _words(error: _Answered) -> str:
    said = str(error)
    if " - " not in said and error.body:  # an answer not laid out as OpenAI's: FastAPI's, a proxy's
        said = f"{said} - {error.body}"
    return _one_line(said)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__  # HTTP clients hide what the system said


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}..."


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After header: seconds, or a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:  # neither: as good as none
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
