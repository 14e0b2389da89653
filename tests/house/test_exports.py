"""What the source never does: write CSV, make files elsewhere, draw a graph that LangSmith sees.

All in one file: the source is parsed once.
"""

import ast
import tomllib

from source import PACKAGES, ROOT, trees

WRITERS = {"DictWriter", "to_csv", "write_csv", "to_excel", "export_csv"}
MADE_BY = "stores/files.py"
WRITES = {"write_text", "write_bytes", "mkdir", "makedirs", "touch", "FileLock"}


def test_no_module_writes_csv() -> None:
    # Who adds such an export escapes what begins with = + - @, a tab or a carriage return, and
    # says so in SECURITY.md.
    found = [
        f"{name}:{node.lineno}"
        for name, tree in trees(*PACKAGES)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (node.attr in WRITERS or (node.attr == "writer" and ast.unparse(node.value) == "csv"))
    ]
    assert not found, f"these write CSV: {found}"


def test_every_graph_of_people_s_texts_is_one_that_holds_the_setting() -> None:
    """Graphs are made by `LoopGraph`; the one other serves to measure LangGraph itself."""
    made = [
        name
        for name, tree in trees(*PACKAGES)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "StateGraph"
    ]
    assert made == ["bench/loop.py"]


def test_files_and_folders_are_made_in_one_place() -> None:
    """All others ask `stores.files`; models' public weights alone may be read by anybody."""
    found = []
    for name, tree in trees("stores", "graph", "evaluation", "training", "bench", "cli"):
        for node in ast.walk(tree):
            if name == MADE_BY or not isinstance(node, ast.Call):
                continue
            called = node.func
            what = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            modes = {str(each.value)[:1] for each in node.args if isinstance(each, ast.Constant)}
            writes = what in WRITES or (what == "open" and modes & {*"wax"})
            if not writes:
                continue
            made = ast.unparse(called.value) if isinstance(called, ast.Attribute) else ""
            if not made.startswith(("new_file(", "draft")):
                found.append(f"{name}: {ast.unparse(node)[:60]}")
    assert [each for each in found if "devnull" not in each] == []


def test_every_package_is_in_the_wheel() -> None:
    """An editable install finds a folder that the wheel would leave out."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {
        path.parent
        for top in build["package-dir"].values()
        for path in (ROOT / top).rglob("__init__.py")
    }
    names = {".".join(("patlm", *folder.relative_to(ROOT).parts)) for folder in folders}
    assert names <= set(build["packages"])
