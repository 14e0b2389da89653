"""A disc that is full, told in one line, whichever library noticed it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .train_errors import NotWritten


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
            "same command again; it goes on from the latest whole checkpoint"
        ) from error
