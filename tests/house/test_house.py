"""The script that measures the house sees what breaks a rule."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from source import trees

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def house() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", ROOT / "tools" / "house.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module
    spec.loader.exec_module(module)
    return module


def modules(house: ModuleType, root: Path, **texts: str) -> list[Any]:
    for name, text in texts.items():
        path = root / "stores" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return list(house.read_modules(["stores"], root))


def test_an_import_circle_is_seen_through_functions_but_not_for_type_checkers(
    house: ModuleType, tmp_path: Path
) -> None:
    a = '"""A."""\nfrom .b import x\n'
    lazy = '"""B."""\ndef f():\n    from .a import y\n'
    found = modules(house, tmp_path, a=a, b=lazy)
    assert list(house.import_circles(found)) == ["import circle: stores.a, stores.b"]
    typed = '"""B."""\nif TYPE_CHECKING:\n    from .a import y\n'
    assert not list(house.import_circles(modules(house, tmp_path, b=typed)))


def test_size_docstrings_and_names_are_measured(house: ModuleType, tmp_path: Path) -> None:
    long = '"""Long."""\ndef f():\n    """F."""\n' + "    x = 1\n" * 60
    bare = "class Twice:\n    def method(self): ...\n"
    twice = '"""C."""\nclass Twice:\n    """T."""\n'
    many = {f"m{at}": '"""M."""\n' for at in range(15)}
    found = modules(house, tmp_path, long=long, bare=bare, twice=twice, **many)
    large = list(house.too_large(found))
    assert any("18 modules" in fault for fault in large)
    assert any("f: 62 lines" in fault for fault in large)
    undocumented = list(house.undocumented(found))
    assert [fault.split(": ")[0].split()[-1] for fault in undocumented] == [
        str(Path("stores", "bare.py")),
        "Twice",
        "Twice.method",
    ]
    assert len(list(house.defined_twice(found))) == 1


def test_a_small_module_with_one_importer_is_seen(house: ModuleType, tmp_path: Path) -> None:
    found = modules(house, tmp_path, a='"""A."""\n', b='"""B."""\nfrom .a import x\n')
    assert len(list(house.small_and_alone(found))) == 1
    found = modules(house, tmp_path, c='"""C."""\nfrom . import a\n')
    assert not list(house.small_and_alone(found))


def test_a_guard_against_hanging_is_spelled_once() -> None:
    """A number of its own is passed on a loaded machine sooner or later."""
    own = []
    for name, tree in trees("tests"):
        for node in ast.walk(tree):
            limit: object = None
            if isinstance(node, ast.keyword) and node.arg in ("timeout", "timeout_s"):
                limit = node.value
            elif isinstance(node, ast.BinOp) and ast.unparse(node.left) == "time.monotonic()":
                limit = node.right
            # Up to 5 s: a probe that is tried again, or a provider's limit under test.
            if isinstance(limit, ast.Constant) and limit.value is not None and limit.value > 5:
                own.append(f"{name}:{limit.lineno}")
    assert own == [], "take processes.HANG_SECONDS"
