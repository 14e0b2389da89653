"""One OpenTelemetry span for each call of a model; importing this needs `opentelemetry-api`.

Where spans go is the app's to set up: without a tracer provider of its own they cost next to
nothing and go nowhere. Names follow the GenAI semantic conventions where these have one
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/, still experimental).
"""

from __future__ import annotations

import logging
import time

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider, get_tracer

from .local.sampling import BASE
from .telemetry import BatchReport, CallReport

_log = logging.getLogger(__name__)


class CallSpans:
    """A watch that makes a span of each call, from being asked to being answered.

    They are made when the batch is over, in the generating thread, and begin traces of their own:
    a call's report does not say in which trace its caller was.

    Args:
        model: What the spans name as the model.
        tracer_provider: Where they go; None: the app's global one.
    """

    def __init__(self, model: str, tracer_provider: TracerProvider | None = None) -> None:
        self._model = model
        self._tracer = get_tracer("patlm.models", tracer_provider=tracer_provider)
        self._broken = False

    def __call__(self, report: BatchReport) -> None:
        """Make the spans of one batch."""
        if self._broken:
            return
        # Spans take wall time, reports have perf_counter: both clocks now tell one from the other.
        now_ns, now_s = time.time_ns(), time.perf_counter()
        try:
            for call in report.calls:
                begin_ns = now_ns - round((now_s - call.queued_at) * 1e9)
                self._span(call, sum(work.rows for work in report.work), begin_ns, now_ns)
        # The boundary to the app's span processors: their faults must not end the thread.
        except Exception:  # noqa: BLE001
            self._broken = True
            _log.warning("no more spans are made: a span processor failed", exc_info=True)

    def _span(self, call: CallReport, batch_size: int, begin_ns: int, now_ns: int) -> None:
        span = self._tracer.start_span(
            f"chat {self._model}",
            context=Context(),
            kind=SpanKind.INTERNAL,  # as the conventions have it for a model in this process
            attributes=self._attributes(call, batch_size),
            start_time=begin_ns,
        )
        if call.ended_s is None:
            span.set_attribute("error.type", "_OTHER")
            span.set_status(Status(StatusCode.ERROR, "failed or cancelled"))
            span.end(now_ns)
        else:
            span.end(begin_ns + round(call.ended_s * 1e9))

    def _attributes(self, call: CallReport, batch_size: int) -> dict[str, str | int | float]:
        attributes: dict[str, str | int | float] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "patlm",
            "gen_ai.request.model": self._model,
            "gen_ai.usage.input_tokens": call.prompt_tokens,
            "gen_ai.usage.output_tokens": call.new_tokens,
            "patlm.adapter": call.adapter or BASE,
            "patlm.batch_size": batch_size,
            "patlm.waited_ms": call.started_s * 1e3,
        }
        if call.role is not None:
            attributes["patlm.role"] = call.role
        if call.first_token_s is not None:
            attributes["patlm.first_token_ms"] = call.first_token_s * 1e3
        return attributes
