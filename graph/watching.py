"""Who watches the language model of a process at work, as the settings say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..models.batch_report import Watch
    from .settings import Settings


@contextmanager
def open_watches(settings: Settings) -> Iterator[tuple[Watch, ...]]:
    """Open the watches that are asked for: none by default. Entering and leaving block.

    They are to be left after the model was closed, so that they are told of its last batch.

    Raises:
        ModelNotFound: Spans are asked for, and OpenTelemetry is not installed.
    """
    spans = (_open_spans(settings.model),) if settings.otel else ()
    if settings.stats is None:
        yield spans
        return
    from ..models.stats_file import StatsFile

    with closing(StatsFile(settings.stats, settings.model)) as file:
        yield (*spans, file)


def _open_spans(model: str) -> Watch:
    try:
        from ..models.spans import CallSpans
    except ImportError as error:
        from ..models.errors import ModelNotFound

        raise ModelNotFound(
            "PATLM_OTEL asks for spans, and the package opentelemetry-api is missing: "
            "pip install 'patlm[telemetry]', or leave PATLM_OTEL out"
        ) from error
    return CallSpans(model)
