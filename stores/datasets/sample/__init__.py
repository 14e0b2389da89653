"""The corpus that comes with the project: people who write and think differently, in JSON lines."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path


def sample_corpus() -> Path:
    """Return the file of the sample corpus, one text a line.

    Raises:
        FileNotFoundError: The installation lacks it.
    """
    resource = files(__package__).joinpath("sample.jsonl")
    # Wheels are installed unpacked, so the file lies there for good and needs no temporary copy.
    with as_file(resource) as path:
        if not path.is_file():
            raise FileNotFoundError(f"the sample corpus is not at {path}: install patlm anew")
        return path
