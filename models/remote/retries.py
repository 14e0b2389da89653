"""Retries, time limits and the circuit breaker of remote calls.

The breaker is the library `circuitbreaker`: one maintained file without requirements, whose one
state serves sync and async callers and says how long it stays open. `aiobreaker` was last released
in 2021, `pybreaker` knows no asyncio (its issue 7), `purgatory` keeps sync and async circuits
apart.
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
from .server import Server, refused_option


class Circuit:
    """Stops calls for a while after several attempts failed in a row.

    Args:
        server: Named in errors.
        failures: This many in a row open the circuit.
        rest_s: Seconds until the server is tried again; one more failure reopens the circuit.
    """

    def __init__(self, server: Server, *, failures: int, rest_s: float) -> None:
        # Imported here: only the extra [remote] installs it.
        from circuitbreaker import CircuitBreaker  # type: ignore[import-untyped]

        self._server = server
        self._breaker = CircuitBreaker(failures, rest_s, Exception, str(server))
        self._counted = 0.0

    def check(self) -> None:
        """Raise where the circuit is open.

        Raises:
            ModelBusy: The circuit is open.
        """
        if self._breaker.opened:
            raise ModelBusy(
                f"{self._server} is left alone for {self._breaker.open_remaining} s more, after "
                f"{self._breaker.failure_count} failures in a row ({self._breaker.last_failure}): "
                "ask again then",
                code="circuit_open",
            )

    def succeeded(self) -> None:
        """Record that the server answered, even with a refusal."""
        self._breaker.reset()

    def failed(self, says: str, began: float) -> None:
        """Record that an attempt failed.

        Attempts that ran at the same time count once: a connection that breaks under fifty callers
        is one fault, and each of them gets its second attempt.

        Args:
            says: What went wrong.
            began: When the attempt began, by `time.monotonic`.
        """
        if began < self._counted:
            return
        self._counted = time.monotonic()
        # The library's way to report a call that did not run under it. A cancelled call is not
        # reported at all, where its decorator would count it as a success.
        with suppress(RuntimeError), self._breaker:
            raise RuntimeError(says)


@dataclass(frozen=True)
class RemoteLimits:
    """Time limits and retries of a remote model.

    Attributes:
        attempts: Per call, the first one included.
        timeout_s: Longest silence of the server in seconds: until the whole answer, or between
            two pieces of a stream.
        wait_s: Seconds before the second attempt; doubled before each further one, with jitter.
        longest_wait_s: The longest wait between attempts. Where the server asks for more
            (Retry-After), the call is not retried.
        failures: Attempts that fail in a row before the circuit opens.
        rest_s: Seconds for which it stays open.
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
        adapter: The adapter of the call, for the error where the server lacks it.
        limits: Number and length of attempts.
        circuit: The server's, shared by all calls.
        sent: Names of the options that are sent.
    """

    def __init__(
        self,
        server: Server,
        adapter: str | None,
        limits: RemoteLimits,
        circuit: Circuit,
        sent: frozenset[str] = frozenset(),
    ) -> None:
        self._server = server
        self._adapter = adapter
        self._limits = limits
        self._circuit = circuit
        self._sent = sent
        self._jitter = wait_random(0, limits.wait_s)
        self._backoff = wait_exponential(limits.wait_s, limits.longest_wait_s) + self._jitter
        self._begun = 0
        self.shown = 0
        """Pieces of a stream that the caller has received; after the first there is no retry."""

    def retrying(self) -> AsyncRetrying:
        """Return an iterator over attempts until one succeeds.

        Raises (from the loop):
            CallRefused: The server refuses this call; never retried.
            OptionRefused: It refuses an option, and would take the call without.
            AdapterRefused: It has no such adapter.
            ModelBusy: It is overloaded, or its circuit is open.
            GenerationFailed: It broke off a stream.
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
        """Limit one attempt in time, and turn its errors into ours.

        Yields the timer, which `more_time` restarts.
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
        """Restart the timer after a piece of a stream."""
        timer.reschedule(asyncio.get_running_loop().time() + self._limits.timeout_s)

    def _error(self, fault: Fault, began: float) -> Exception:
        option = refused_option(fault.says, fault.param, self._sent) if fault.about_call else None
        if option is not None:
            self._circuit.succeeded()
            return OptionRefused(option, fault.says, self._server)
        if not fault.transient:
            self._circuit.succeeded()
            return self._refusal(fault)
        if not fault.busy:
            self._circuit.failed(fault.says, began)
        if self.shown:
            return GenerationFailed(
                f"{self._server} broke its answer off after {self.shown} pieces ({fault.says}): "
                "ask again for a whole one",
                code="stream_broken",
            )
        final = self._failure(fault)
        too_long = (fault.retry_after_s or 0) > self._limits.longest_wait_s
        return final if too_long else _Again(final, fault.retry_after_s)

    def _refusal(self, fault: Fault) -> CallRefused:
        if self._adapter is not None and fault.denies(self._adapter):
            return AdapterRefused(
                f"{self._server} has no adapter {self._adapter} ({fault.says}): load it there "
                "under this name, or pass adapter_fallback=True for the base model",
                code="adapter_missing",
            )
        hint = self._server.hint() if fault.nowhere else ""
        return CallRefused(
            f"{self._server} refused the call: {fault.says}{hint}", code="server_refused"
        )

    def _failure(self, fault: Fault) -> ModelError:
        wait = "later" if fault.retry_after_s is None else f"after {fault.retry_after_s:g} s"
        if fault.busy:
            return ModelBusy(f"{self._server} has too much to do ({fault.says}): ask again {wait}")
        return RemoteFailed(
            f"{self._server} gave no answer in {self._begun} attempts, the last: {fault.says}; "
            f"ask again {wait}, or look after the server{self._server.hint()}"
        )

    def _wait(self, state: RetryCallState) -> float:
        error = _failed_with(state)
        if error.wait_s is None:
            return self._backoff(state)
        # At least as long as asked for, with jitter so that callers do not return all at once.
        return error.wait_s + self._jitter(state)


class OptionRefused(CallRefused):
    """A call with an option that the server refuses.

    Attributes:
        option: Our name of it.
        says: The server's words.
    """

    code = "option_refused"

    def __init__(self, option: str, says: str, server: Server) -> None:
        super().__init__(f"{server} refuses the option {option}: {says}")
        self.option = option
        self.says = says


class _Again(Exception):  # noqa: N818 - a signal, not an error
    """An attempt that may be repeated.

    Attributes:
        final: The error for the caller if it is not repeated.
        wait_s: Pause that the server asked for.
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
