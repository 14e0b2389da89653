"""Print the test folders of the packages that changed since a commit, one a line.

    python tools/changed_tests.py [BASE]

Without BASE: the merge base with `origin/main` if that is an older commit, else the newest commit
that is at least a day older than HEAD. Prints `tests` if no commit is found.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVERYTHING = ("pyproject.toml", "constraints.txt", "tests/conftest.py", "tests/support/")
"""Files that all tests depend on."""


def test_folders(changed: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return the test folders that mirror the folders of some changed files.

    Args:
        changed: Paths below the root, with `/`.
        root: Of the project.
    """
    found = set()
    for path in changed:
        if path.startswith(EVERYTHING):
            return ["tests"]
        folder = Path(path).parent
        mirror = folder if folder.parts[:1] == ("tests",) else Path("tests") / folder
        if len(mirror.parts) > 1 and any((root / mirror).rglob("test_*.py")):
            found.add(mirror.as_posix())
    return sorted(found)


def base_commit() -> str | None:
    """Return the commit to compare with, or None if there is none."""
    head = _git("rev-parse", "HEAD")
    merged = _git("merge-base", "HEAD", "origin/main")
    if merged and merged != head:
        return merged
    day_before = int(_git("log", "-1", "--format=%ct") or 0) - 24 * 60 * 60
    return _git("rev-list", "-1", f"--before={day_before}", "HEAD") or None


def main() -> None:
    """Print the folders."""
    base = sys.argv[1] if len(sys.argv) > 1 else base_commit()
    changed = None if base is None else _git("diff", "--name-only", base, "HEAD")
    print(*(["tests"] if changed is None else test_folders(changed.splitlines())), sep="\n")


def _git(*arguments: str) -> str | None:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    main()
