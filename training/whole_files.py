"""Files that are written whole, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_json(value: Mapping[str, Any], file: Path) -> None:
    """Write a file of JSON whole, or leave the one before."""
    write_lines([json.dumps(value, ensure_ascii=False, indent=1)], file)


def write_lines(lines: Iterable[str], file: Path) -> None:
    """Write a file of lines whole, or leave the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}-{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in lines)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
