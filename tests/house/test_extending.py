"""The recipes of docs/extending.md work as they are written."""

import __future__

import ast
import inspect
import re
from collections.abc import MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
RECIPES: dict[str, tuple[str, tuple[str, str]]] = {
    "A provider of models": ("models.open", ("models.open", "PROVIDERS")),
    "A metric": ("evaluation.scores.metrics", ("evaluation.scores.metrics", "METRICS")),
    "An arm, a control, a floor": ("evaluation.arms.floors", ("evaluation.arms.registry", "ARMS")),
    "A file format": ("stores.datasets.tables", ("stores.datasets.formats", "FORMATS")),
    "A strategy": ("nodes.strategies", ("nodes.strategies", "STRATEGIES")),
}
"""The module that each recipe's entry is written in, and the registry that holds it."""


def entry_of(code: str, module: str) -> Any:
    """Run a recipe as if it stood in a module, and return the entry that it ends with."""
    names = dict(vars(import_module(f"patlm.{module}")))
    *before, last = ast.parse(code).body
    assert isinstance(last, ast.Expr)
    # As in the modules that the recipes are for: annotations are not evaluated.
    flags = __future__.annotations.compiler_flag
    exec(compile(ast.Module(before, []), "extending.md", "exec", flags=flags), names)
    return eval(compile(ast.Expression(last.value), "extending.md", "eval"), names)


@pytest.mark.parametrize("recipe", RECIPES)
async def test_recipe_works(recipe: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    section = PAGE.split(f"## {recipe}\n")[1].split("\n## ")[0]
    code, test = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert len((code + test).splitlines()) < 60
    module, (place, name) = RECIPES[recipe]
    registry: MutableMapping[str, Any] = getattr(import_module(f"patlm.{place}"), name)
    entry = entry_of(code, module)
    monkeypatch.setitem(registry, entry.name, entry)
    names: dict[str, Any] = {}
    exec(compile(test, "extending.md", "exec"), names)
    (run,) = [value for key, value in names.items() if key.startswith("test_")]
    done = run(tmp_path) if "tmp_path" in inspect.signature(run).parameters else run()
    if inspect.isawaitable(done):
        await done


def test_every_recipe_is_tried() -> None:
    assert set(RECIPES) <= set(re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE))
