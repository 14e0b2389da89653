"""Silence transformers' progress bars and advice while we load or convert a model."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# One load at a time: transformers' verbosity is a process-wide setting, and so is torch's default
# dtype, which `from_pretrained` changes while it builds a model.
_LOADING = threading.RLock()


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Load models one at a time, without bars and warnings; restores the settings afterwards."""
    from transformers.utils import logging as hf_logging

    with _LOADING:
        verbosity = hf_logging.get_verbosity()
        bars = hf_logging.is_progress_bar_enabled()
        hf_logging.set_verbosity(logging.ERROR)
        hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            hf_logging.set_verbosity(verbosity)
            if bars:
                hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
