"""Run commands of the project in processes of their own, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent

FAKE_MODEL = "python:fake_models:word_by_word"

_FOREIGN = ("PATLM_", "LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_")


def environment(**env: str) -> dict[str, str]:
    """Return the variables of a process that knows none of this one's settings but the cache.

    It needs no account and no hub, and finds the fakes beside this file.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name == "PATLM_CACHE" or not name.startswith(_FOREIGN)
    }
    ours = {
        "PYTHONPATH": str(TESTS),
        "LANGSMITH_TRACING": "false",
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
    }
    return {**inherited, **ours, **env}


def run_python(
    *arguments: str | Path, cwd: Path, seconds: float = 120, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run this Python to its end.

    Args:
        arguments: A file, or `-m` and a module, and what it is given.
        cwd: Where it runs.
        seconds: How long it may take.
        env: Further variables.
    """
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
