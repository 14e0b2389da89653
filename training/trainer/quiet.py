"""Suppress the libraries' progress bars and warnings, and report a full disk as one error."""

from __future__ import annotations

import errno
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
        earlier = filter(_is_of_full_disk, _before(error))
        failed = error if _is_of_writing(error) else next(earlier, None)
        if failed is None:
            raise
        raise NotWritten(
            f"{folder} can't be written: {' '.join(str(failed).split())}: make room, then run the "
            "same command again; it resumes from the latest complete checkpoint"
        ) from error


_WRITERS = ("PytorchStreamWriter", "inline_container", "iostream error")
"""Words of torch's errors when it can't write."""


def _before(error: BaseException) -> Iterator[BaseException]:
    """Yield what was raised before an error that came of it, the latest first."""
    earlier = error.__cause__ or error.__context__
    while earlier is not None:
        yield earlier
        earlier = earlier.__cause__ or earlier.__context__


def _is_of_full_disk(error: BaseException) -> bool:
    """Return whether the disk was full: an earlier error of another kind may be no reason."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return _is_of_writing(error)


def _is_of_writing(error: BaseException) -> bool:
    from safetensors import SafetensorError

    if isinstance(error, OSError | SafetensorError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WRITERS)
