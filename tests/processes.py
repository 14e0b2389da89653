"""Run commands of the project in a process of their own, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

FAKE_MODEL = "python:tests.fake_models:word_by_word"


def run_python(
    *arguments: str | Path, cwd: Path, seconds: float = 120, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run this Python with arguments; of this process's PATLM settings only the cache is handed on.

    Args:
        arguments: A file, or `-m` and a module, and what it is given.
        cwd: Where it runs.
        seconds: How long it may take.
        env: Further variables.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name == "PATLM_CACHE" or not name.startswith("PATLM_")
    }
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", **env},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
