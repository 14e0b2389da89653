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
    """Suppress the libraries' progress bars, hints and warnings on stderr during a run.

    TRL's telemetry, too: it tells the hub of each trainer that is made.
    """
    import datasets
    from huggingface_hub import constants
    from transformers.utils import logging as hf_logging

    verbosity, bars = hf_logging.get_verbosity(), datasets.are_progress_bars_disabled()
    before = {name: os.environ.get(name) for name in QUIET}
    silent, constants.HF_HUB_DISABLE_TELEMETRY = constants.HF_HUB_DISABLE_TELEMETRY, True
    hf_logging.set_verbosity(hf_logging.ERROR)
    datasets.disable_progress_bars()
    os.environ.update(QUIET)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY = silent
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

    torch raises a plain RuntimeError then, and what closes a file fails once more, with another
    error: so what was raised first counts, too.
    """
    try:
        yield
    except Exception as error:
        failed = next(filter(_is_of_writing, _and_before(error)), None)
        if failed is None:
            raise
        raise NotWritten(
            f"{folder} can't be written: {' '.join(str(failed).split())}: make room, then run the "
            "same command again; it resumes from the latest complete checkpoint"
        ) from error


_WRITERS = ("PytorchStreamWriter", "inline_container", "iostream error")
"""Words of torch's errors when it can't write."""


def _and_before(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_of_writing(error: BaseException) -> bool:
    from safetensors import SafetensorError

    if isinstance(error, OSError | SafetensorError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WRITERS)
