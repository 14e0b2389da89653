"""Errors are told apart by type and code, not by wording; limits are arguments, not patched."""

import ast
import re
from collections.abc import Iterator

from source import PACKAGES, ROOT, codes_given, trees

PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
BASES = {"CodedError", "ModelError"}
CONSTANT = re.compile(r"_*[A-Z][A-Z0-9_]*")
MAY_MATCH: dict[str, str] = {}
"""Tests that may use `match=`, by file and name, and why."""


def error_classes() -> dict[str, str | None]:
    """Return the code that each class of errors sets for itself, by its name."""
    classes = [
        node
        for _, tree in trees(*PACKAGES)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    found: dict[str, str | None] = {}
    names = set(BASES)
    while names:
        of_these = [node for node in classes if node.name in names]
        found |= {node.name: own_code(node) for node in of_these}
        names = {
            node.name
            for node in classes
            for base in node.bases
            if isinstance(base, ast.Name) and base.id in names and node.name not in found
        }
    return found


def own_code(node: ast.ClassDef) -> str | None:
    for line in node.body:
        target = line.targets[0] if isinstance(line, ast.Assign) else None
        target = line.target if isinstance(line, ast.AnnAssign) else target
        if isinstance(target, ast.Name) and target.id == "code":
            value = line.value  # type: ignore[union-attr]
            return value.value if isinstance(value, ast.Constant) else None
    return None


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            last = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if last == name:
                yield node


def patched_constants(tree: ast.AST) -> list[str]:
    """Return the upper-case names that `setattr` is called with."""
    found = []
    for call in calls(tree, "setattr"):
        texts = [arg.value for arg in call.args[:2] if isinstance(arg, ast.Constant)]
        names = [text.rpartition(".")[2] for text in texts[:1] if isinstance(text, str)]
        found += [name for name in names if CONSTANT.fullmatch(name)]
    return found


def expecting_words(tree: ast.Module) -> list[str]:
    """Return the functions that expect an error by a pattern of its message."""
    return [
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in calls(function, "raises")
        if any(keyword.arg == "match" for keyword in call.keywords)
    ]


def test_every_error_has_a_code_of_its_own() -> None:
    found = error_classes()
    assert {"StoreError", "RequestError", "CallRefused", "ConfigRefused"} < found.keys()
    assert not [name for name, code in found.items() if code is None]


def test_the_page_lists_every_code_and_its_error() -> None:
    classes = error_classes()
    given = {(code, name) for name, code in classes.items()}
    for _, tree in trees(*PACKAGES):
        given |= {(code, name) for name, code in codes_given(tree) if name in classes}
    listed = set(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, re.MULTILINE))
    assert given == listed


def test_no_test_patches_a_constant() -> None:
    found = {file: names for file, tree in trees("tests") if (names := patched_constants(tree))}
    assert not found, "make it an argument with the constant as its default"


def test_no_test_expects_an_error_by_its_wording() -> None:
    found = {f"{file}::{name}" for file, tree in trees("tests") for name in expecting_words(tree)}
    assert found == MAY_MATCH.keys(), "use raising.raises: type, code and the values that it names"


def test_the_checks_can_fail() -> None:
    patched = ast.parse(
        'm.setattr("a.b.LIMIT", 1)\nm.setattr(b, "_MANY", 2)\nm.setattr("a.open", 3)\n'
        'm.setattr(b, "Opened", 4)'
    )
    assert patched_constants(patched) == ["LIMIT", "_MANY"]
    worded = ast.parse(
        'def test_a():\n    with pytest.raises(E, match="x"):\n        pass\n'
        'def test_b():\n    with raises(E, "x"):\n        pass\n'
    )
    assert expecting_words(worded) == ["test_a"]
