"""Keep the libraries' bars, advice and warnings off stderr, and turn a full disc into one error."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import NotWritten

QUIET = {"TQDM_DISABLE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
"""What TRL reads from the environment alone."""


@contextmanager
def quiet_training() -> Iterator[None]:
    """Keep bars, advice and warnings of the libraries off stderr while a run is under way."""
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
    """Keep transformers from printing each step's figures on stdout, which is for results."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn what the libraries raise where a disc is full into one line.

    torch raises a plain RuntimeError then, known by the writer's name in it.
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
            "same command again; it resumes from the latest whole checkpoint"
        ) from error
