"""The attempts of one remote call: their time limit, what is tried again, and when.

Leave a server alone for a while that fails again and again.

The library is `circuitbreaker`: one file without requirements, kept up, and its one state serves
sync and async callers and says how long it stays open. `aiobreaker` was last released in 2021,
`pybreaker` knows no asyncio (its issue 7), `purgatory` keeps sync and async circuits apart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from ..errors import (
    AdapterRefused,
    CallRefused,
    GenerationFailed,
    ModelBusy,
    ModelError,
    RemoteFailed,
)
from .faults import Fault, read_fault
from .server import Server


class Circuit:
    """Counts attempts that failed in a row.

    Args:
        server: Named in errors.
        failures: So many in a row open the circuit.
        rest_s: Seconds until the server is tried again; one more failure opens it again.
    """

    def __init__(self, server: Server, *, failures: int, rest_s: float) -> None:
        # Here, because the extra [remote] brings it.
        from circuitbreaker import CircuitBreaker  # type: ignore[import-untyped]

        self._server = server
        self._breaker = CircuitBreaker(failures, rest_s, Exception, str(server))
        self._counted = 0.0

    def check(self) -> None:
        """Let a call pass.

        Raises:
            ModelBusy: The circuit is open.
        """
        if self._breaker.opened:
            raise ModelBusy(
                f"{self._server} is left alone for {self._breaker.open_remaining} s more, after "
                f"{self._breaker.failure_count} failures in a row ({self._breaker.last_failure}): "
                "ask again then"
            )

    def succeeded(self) -> None:
        """Note that the server answered, be it with a refusal."""
        self._breaker.reset()

    def failed(self, says: str, began: float) -> None:
        """Note that an attempt failed.

        Attempts that were under way together count once: a connection that breaks under fifty
        callers is one hiccup, and all of them shall get their second attempt.

        Args:
            says: What went wrong.
            began: When the attempt began, by `time.monotonic`.
        """
        if began < self._counted:
            return
        self._counted = time.monotonic()
        # The library's own way to report what was not run under it. A cancelled call is reported
        # neither way, where its decorator would take that for a success.
        with suppress(RuntimeError), self._breaker:
            raise RuntimeError(says)


@dataclass(frozen=True)
class RemoteLimits:
    """How patient a remote model is.

    Attributes:
        attempts: At a call, the first one included.
        timeout_s: Seconds that a server may be silent: until the whole answer, or between two
            pieces of a stream.
        wait_s: Seconds before the second attempt; doubled before each further one, with jitter.
        longest_wait_s: The longest wait between attempts. A server that asks for more (Retry-After)
            is not asked again by this call.
        failures: Attempts that fail in a row before the server is left alone.
        rest_s: Seconds for which it is.
    """

    attempts: int = 3
    timeout_s: float = 60.0
    wait_s: float = 0.5
    longest_wait_s: float = 20.0
    failures: int = 5
    rest_s: float = 10.0


class Attempts:
    """Runs the attempts of one call.

        async for attempt in attempts.retrying():
            with attempt:
                async with attempts.watch() as timer:
                    ...

    Args:
        server: Named in errors.
        adapter: What the call asks for, for the error where the server has none of that name.
        limits: How often and how long.
        circuit: The server's, shared by all calls.
    """

    def __init__(
        self, server: Server, adapter: str | None, limits: RemoteLimits, circuit: Circuit
    ) -> None:
        self._server = server
        self._adapter = adapter
        self._limits = limits
        self._circuit = circuit
        self._jitter = wait_random(0, limits.wait_s)
        self._backoff = wait_exponential(limits.wait_s, limits.longest_wait_s) + self._jitter
        self._begun = 0
        self.shown = 0
        """Pieces of a stream that the caller has seen; after the first one nothing is repeated."""

    def retrying(self) -> AsyncRetrying:
        """Return what yields attempts until one succeeds.

        Raises (from the loop):
            CallRefused: The server will not answer this call; never repeated.
            AdapterRefused: It has no such adapter.
            ModelBusy: It has too much to do, or its circuit is open.
            GenerationFailed: It broke a stream off that had begun.
            RemoteFailed: It gave no answer in any attempt.
        """
        return AsyncRetrying(
            stop=stop_after_attempt(self._limits.attempts),
            wait=self._wait,
            retry=retry_if_exception_type(_Again),
            retry_error_callback=_give_up,
        )

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[asyncio.Timeout]:
        """Bound one attempt in time, and turn what goes wrong in it into errors of ours.

        Yields the timer, which `more_time` sets anew.
        """
        self._circuit.check()
        self._begun += 1
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.timeout_s) as timer:
                yield timer
        # The boundary to foreign code: any SDK may raise anything.
        except Exception as error:  # noqa: BLE001
            silent = isinstance(error, TimeoutError) and timer.expired()
            fault = (
                Fault(f"silent for {self._limits.timeout_s:g} s") if silent else read_fault(error)
            )
            raise self._error(fault, began) from error
        self._circuit.succeeded()

    def more_time(self, timer: asyncio.Timeout) -> None:
        """Let the server be silent anew: a piece has come."""
        timer.reschedule(asyncio.get_running_loop().time() + self._limits.timeout_s)

    def _error(self, fault: Fault, began: float) -> Exception:
        if not fault.transient:
            self._circuit.succeeded()
            return self._refusal(fault)
        if not fault.busy:
            self._circuit.failed(fault.says, began)
        if self.shown:
            return GenerationFailed(
                f"{self._server} broke its answer off after {self.shown} pieces ({fault.says}): "
                "ask again for a whole one"
            )
        final = self._failure(fault)
        too_long = (fault.retry_after_s or 0) > self._limits.longest_wait_s
        return final if too_long else _Again(final, fault.retry_after_s)

    def _refusal(self, fault: Fault) -> CallRefused:
        if self._adapter is not None and fault.denies(self._adapter):
            return AdapterRefused(
                f"{self._server} has no adapter {self._adapter} ({fault.says}): load it there "
                "under this name, or pass adapter_fallback=True for the base model"
            )
        return CallRefused(f"{self._server} refused the call: {fault.says}")

    def _failure(self, fault: Fault) -> ModelError:
        wait = "later" if fault.retry_after_s is None else f"after {fault.retry_after_s:g} s"
        if fault.busy:
            return ModelBusy(f"{self._server} has too much to do ({fault.says}): ask again {wait}")
        return RemoteFailed(
            f"{self._server} gave no answer in {self._begun} attempts, the last: {fault.says}; "
            f"ask again {wait}, or look after the server"
        )

    def _wait(self, state: RetryCallState) -> float:
        error = _failed_with(state)
        if error.wait_s is None:
            return self._backoff(state)
        # At least what was asked for; not all at the same moment.
        return error.wait_s + self._jitter(state)


class _Again(Exception):  # noqa: N818 - no error, but a wish
    """An attempt that may be repeated.

    Attributes:
        final: What the caller hears if it is not.
        wait_s: What the server asked for.
    """

    def __init__(self, final: ModelError, wait_s: float | None) -> None:
        super().__init__(str(final))
        self.final = final
        self.wait_s = wait_s


def _failed_with(state: RetryCallState) -> _Again:
    assert state.outcome is not None  # tenacity asks after an attempt only
    error = state.outcome.exception()
    assert isinstance(error, _Again)
    return error


def _give_up(state: RetryCallState) -> None:
    error = _failed_with(state)
    raise error.final from error.__cause__
