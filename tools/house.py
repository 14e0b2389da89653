"""Measure the layout of the source, and fail where it breaks a rule of the house.

    python tools/house.py [--json]

The rules: at most 15 modules in a folder, 450 lines in a file, 60 in a function; no import circle,
imports inside functions included; a docstring for every public name; one class name means one
class; a module of under 130 lines with a single importer outside `cli` lives inside that importer.
"""

from __future__ import annotations

import argparse
import ast
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("stores", "models", "nodes", "graph", "evaluation", "training", "bench", "apps", "cli")
MOST_MODULES = 15
MOST_LINES = 450
LONGEST_FUNCTION = 60
SMALL_MODULE = 130
ALONE: dict[str, str] = {
    "nodes.check_stop": "a node of the loop: one file each",
    "nodes.preference_retrieve": "a node of the loop: one file each",
    "nodes.style_retrieve": "a node of the loop: one file each",
    "nodes.integrate": "a node of the loop: one file each",
    "models.local.int8_storage": "a subclass of a torch module; its importer must not import torch",
    "models.local.kv_cache": "the cache of a batch; with it the engine would pass 450 lines",
    "stores.datasets.cleaning": "cleaning steps, a list that grows; the dataset only calls it",
}
"""Small modules with one importer that stay on their own, and why."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file.

    Attributes:
        name: Dotted, without `patlm.`; a package's own module bears the package's name.
        path: Below the root.
        text: Its content.
    """

    name: str
    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed content."""
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return self.text.count("\n")

    @property
    def is_package(self) -> bool:
        """Whether it is an `__init__.py`."""
        return self.path.name == "__init__.py"

    def functions(self) -> Iterator[Function]:
        """Yield all functions and methods, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imports(self) -> Iterator[str]:
        """Yield the dotted names that it imports relatively, but not for type checkers only."""
        unseen = {id(child) for node in ast.walk(self.tree) for child in _type_checking(node)}
        package = self.name.split(".") if self.is_package else self.name.split(".")[:-1]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.level and id(node) not in unseen:
                base = package[: len(package) - node.level + 1]
                target = ".".join([*base, *([node.module] if node.module else [])])
                yield from (f"{target}.{alias.name}" for alias in node.names)


def read_modules(folders: Sequence[str], root: Path = ROOT) -> list[Module]:
    """Return the modules below some folders, in the order of their paths."""
    found = []
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path.relative_to(root), path.read_text(encoding="utf-8")))
    return found


def import_graph(modules: Sequence[Module]) -> dict[str, set[str]]:
    """Return for each module the modules of ours that it imports."""
    names = {module.name for module in modules}
    graph: dict[str, set[str]] = {}
    for module in modules:
        targets = set()
        for dotted in module.imports():
            target = dotted if dotted in names else dotted.rpartition(".")[0]
            if target in names and target != module.name:
                targets.add(target)
        graph[module.name] = targets
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return groups of modules that import each other in a circle (Tarjan 1972)."""
    place: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        place[name] = low[name] = len(place)
        stack.append(name)
        for target in graph[name]:
            if target not in place:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], place[target])
        if low[name] == place[name]:
            group = stack[stack.index(name) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in place:
            visit(name)
    return found


def measures(modules: Sequence[Module]) -> dict[str, str | int | float]:
    """Return the figures by which codebases of the field are compared."""
    lines = [module.lines for module in modules]
    lengths = [_length(function) for module in modules for function in module.functions()]
    text = [line.strip() for module in modules for line in module.text.splitlines()]
    written = [line for line in text if line]
    imported = [len(targets) for targets in import_graph(modules).values()]
    comments = sum(line.startswith("#") for line in written)
    return {
        "files": len(modules),
        "lines": sum(lines),
        "lines of a file, median / longest tenth / longest": _spread(lines),
        "lines of a function, the same": _spread(lengths),
        "most modules in one folder": max(map(len, _folders(modules).values())),
        "imports of our own per module": round(statistics.mean(imported), 1),
        "comment lines, %": round(100 * comments / len(written), 1),
    }


def too_large(modules: Sequence[Module]) -> Iterator[str]:
    """Yield folders, files and functions that are larger than the rules allow."""
    for folder, names in _folders(modules).items():
        if len(names) > MOST_MODULES:
            yield f"{folder}/: {len(names)} modules, at most {MOST_MODULES}"
    for module in modules:
        if module.lines > MOST_LINES:
            yield f"{module.path}: {module.lines} lines, at most {MOST_LINES}"
        for function in module.functions():
            if _length(function) > LONGEST_FUNCTION:
                yield (
                    f"{module.path}:{function.lineno} {function.name}: {_length(function)} lines, "
                    f"at most {LONGEST_FUNCTION}"
                )


def import_circles(modules: Sequence[Module]) -> Iterator[str]:
    """Yield modules that import each other in a circle."""
    for group in circles(import_graph(modules)):
        yield f"import circle: {', '.join(group)}"


def undocumented(modules: Sequence[Module]) -> Iterator[str]:
    """Yield public modules, classes, functions and methods without a docstring."""
    for module in modules:
        if not ast.get_docstring(module.tree):
            yield f"{module.path}: no docstring"
        for name, node in _public(module.tree):
            if not ast.get_docstring(node):
                yield f"{module.path}:{node.lineno} {name}: no docstring"


def defined_twice(modules: Sequence[Module]) -> Iterator[str]:
    """Yield class names that mean more than one class, private ones left out."""
    homes: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(f"{module.path}:{node.lineno}")
    for name, places in sorted(homes.items()):
        if len(places) > 1:
            yield f"class {name} is defined {len(places)} times: {', '.join(places)}"


def small_and_alone(modules: Sequence[Module]) -> Iterator[str]:
    """Yield small modules that a single module outside `cli` imports."""
    importers: dict[str, set[str]] = defaultdict(set)
    for name, targets in import_graph(modules).items():
        for target in targets:
            importers[target].add(name)
    for module in modules:
        users = importers[module.name]
        if module.is_package or module.name in ALONE or module.lines >= SMALL_MODULE:
            continue
        if len(users) == 1 and not any(user.startswith("cli") for user in users):
            (user,) = users
            yield f"{module.path}: {module.lines} lines, imported by {user} alone: move it there"


RULES = (too_large, import_circles, undocumented, defined_twice, small_and_alone)


def main() -> int:
    """Print the measures and what breaks a rule; return 1 where something does."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    arguments = parser.parse_args()
    modules = read_modules(PACKAGES)
    found = {"source": measures(modules), "tests": measures(read_modules(["tests"]))}
    faults = [fault for rule in RULES for fault in rule(modules)]
    if arguments.json:
        print(json.dumps({**found, "faults": faults}, indent=2))
    else:
        for name, value in found["source"].items():
            print(f"{name:<52} {value!s:>16}   tests: {found['tests'][name]}")
        print(*faults, f"{len(faults)} faults", sep="\n")
    return bool(faults)


def _type_checking(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
        if node.test.id == "TYPE_CHECKING":
            yield from (child for line in node.body for child in ast.walk(line))


def _folders(modules: Sequence[Module]) -> dict[Path, list[str]]:
    folders: dict[Path, list[str]] = defaultdict(list)
    for module in modules:
        if not module.is_package:
            folders[module.path.parent].append(module.name)
    return folders


def _length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _spread(values: Sequence[int]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]} / {ordered[len(ordered) * 9 // 10]} / {ordered[-1]}"


def _public(tree: ast.Module) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for child in node.body:
                    if isinstance(child, Function) and not child.name.startswith("_"):
                        yield f"{node.name}.{child.name}", child


if __name__ == "__main__":
    sys.exit(main())
