"""No table of texts is written that a spreadsheet would open, and run its formulas."""

import ast

from source import PACKAGES, trees

WRITERS = {"DictWriter", "to_csv", "write_csv", "to_excel", "export_csv"}


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
