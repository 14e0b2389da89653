"""Where a store lies: a directory, or a place in an object store."""

from __future__ import annotations

from pathlib import Path


def local_root(uri: str) -> Path | None:
    """Return the directory a store lies in, or None for an object store."""
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri)
