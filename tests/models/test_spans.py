"""One span a call, with the right times, and never a fault of it in the generating thread."""

import logging
import sys
import time
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from patlm.graph import Settings
from patlm.graph.open import settings_watches
from patlm.models.errors import MissingExtra
from patlm.models.telemetry import CallSpans
from processes import run_python
from raising import raises
from tiny_models import batch_report, call_report


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


@pytest.fixture
def spans(provider: TracerProvider) -> CallSpans:
    return CallSpans("tiny", provider)


class Faulty(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("no room for spans")


def test_a_call_is_a_span(spans: CallSpans, exporter: InMemorySpanExporter) -> None:
    call = call_report("style", adapter="style@3", started_s=0.1, first_token_s=0.5, ended_s=1.0)
    spans(batch_report(call, call_report(None)))
    span, other = exporter.get_finished_spans()
    assert (span.name, span.kind, span.status.status_code) == (
        "chat tiny",
        SpanKind.INTERNAL,
        StatusCode.UNSET,
    )
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "patlm",
        "gen_ai.request.model": "tiny",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 10,
        "patlm.adapter": "style@3",
        "patlm.batch_size": 2,
        "patlm.first_token_ms": 500.0,
        "patlm.role": "style",
        "patlm.waited_ms": 100.0,
    }
    assert other.attributes is not None
    assert other.attributes["patlm.adapter"] == "base" and "patlm.role" not in other.attributes


def test_times_are_wall_times(spans: CallSpans, exporter: InMemorySpanExporter) -> None:
    queued_at = time.perf_counter() - 5.0
    calls = [
        call_report(queued_at=queued_at, ended_s=3.0),
        call_report(queued_at=queued_at + 1.5, ended_s=0.25),
    ]
    before = time.time_ns()
    spans(batch_report(*calls))
    after = time.time_ns()
    first, second = exporter.get_finished_spans()
    assert first.start_time is not None and first.end_time is not None
    assert second.start_time is not None and second.end_time is not None
    # Asked for 5 s before the first clock was read; what lies between the two is below 0.1 s.
    assert before - 5.1e9 < first.start_time < after - 4.9e9
    assert first.end_time - first.start_time == pytest.approx(3e9, abs=2)
    assert second.end_time - second.start_time == pytest.approx(0.25e9, abs=2)
    assert second.start_time - first.start_time == pytest.approx(1.5e9, abs=2)


def test_a_faulty_processor_is_told_once_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    provider = TracerProvider()
    provider.add_span_processor(Faulty())
    spans = CallSpans("tiny", provider)
    with caplog.at_level(logging.WARNING, "patlm.models.telemetry"):
        for _ in range(3):
            spans(batch_report())
    (record,) = [found for found in caplog.records if found.name == "patlm.models.telemetry"]
    assert record.exc_info is not None and "no room for spans" in str(record.exc_info[1])


def test_without_opentelemetry_the_start_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with raises(MissingExtra, "missing_extra", "pip install 'patlm[telemetry]'"):
        settings_watches(Settings(otel=True))


@pytest.mark.parametrize(("otel", "loaded"), [("false", "False"), ("true", "True")])
def test_spans_are_off_unless_asked_for(tmp_path: Path, otel: str, loaded: str) -> None:
    code = (
        "import os, sys\n"
        f"os.environ['PATLM_OTEL'] = '{otel}'\n"
        "import patlm.models.telemetry\n"
        "from patlm.graph.settings import Settings\n"
        "from patlm.graph.open import settings_watches\n"
        "print(len(settings_watches(Settings())), 'opentelemetry' in sys.modules)"
    )
    done = run_python("-c", code, cwd=tmp_path)
    count = int(loaded == "True")
    assert (done.returncode, done.stdout.strip()) == (0, f"{count} {loaded}"), done.stderr
