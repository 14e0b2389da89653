"""Leave a server alone for a while that fails again and again.

The library is `circuitbreaker`: one file without requirements, kept up, and its one state serves
sync and async callers and says how long it stays open. `aiobreaker` was last released in 2021,
`pybreaker` knows no asyncio (its issue 7), `purgatory` keeps sync and async circuits apart.
"""

from __future__ import annotations

import time
from contextlib import suppress

from .errors import ModelBusy
from .remote_server import Server


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
