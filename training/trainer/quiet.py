"""Suppress the libraries' progress bars and warnings, and report a full disk as one error."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import NotWritten

QUIET = {"TQDM_DISABLE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
"""Settings that TRL reads only from the environment."""


@contextmanager
def quiet_training() -> Iterator[None]:
    """Suppress the libraries' progress bars, hints and warnings on stderr during a run."""
    import datasets
    from transformers.utils import logging as hf_logging

    verbosity, bars = hf_logging.get_verbosity(), datasets.are_progress_bars_disabled()
    before = {name: os.environ.get(name) for name in QUIET}
    hf_logging.set_verbosity(hf_logging.ERROR)
    datasets.disable_progress_bars()
    os.environ.update(QUIET)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if not bars:
            datasets.enable_progress_bars()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def silence(trainer: Any) -> None:
    """Stop transformers from printing each step's metrics to stdout, which is for results."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Convert the libraries' errors on a full disk into one line.

    torch raises a plain RuntimeError then; it is recognised by the writer's name in it.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not isinstance(error, SafetensorError):
            if "PytorchStreamWriter" not in str(error):
                raise
        raise NotWritten(
            f"{folder} can't be written: {' '.join(str(error).split())}: make room, then run the "
            "same command again; it resumes from the latest complete checkpoint"
        ) from error
