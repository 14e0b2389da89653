"""The source as syntax trees, for tests that look at all of it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("stores", "models", "nodes", "graph", "evaluation", "training", "bench", "apps", "cli")


def trees(*folders: str) -> list[tuple[str, ast.Module]]:
    """Return the name of each source file below some folders, and its tree."""
    return [found for folder in folders for found in _trees_below(folder)]


@cache
def _trees_below(folder: str) -> list[tuple[str, ast.Module]]:
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def codes_given(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the name and the code of each call with a literal `code=`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for keyword in node.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    yield node.func.id, str(keyword.value.value)
