"""docs/data.md: its examples are read as they stand, its reject codes are those of the code."""

import json
import re
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
from patlm.stores.datasets.formats import FORMATS, read_texts
from patlm.stores.types import Text
from patlm.stores.values import FAULTS
from source import codes_given, trees

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
NAMES = 13
"""Characters of the column of names in the block of examples."""


def examples() -> dict[str, str]:
    """Return the lines of each format's example."""
    block = PAGE.partition("a test reads them from this page:\n\n```\n")[2].partition("```")[0]
    found: dict[str, list[str]] = {}
    for line in block.splitlines():
        name = line[:NAMES].strip() or list(found)[-1]
        found.setdefault(name, []).append(line[NAMES:].replace(" <tab> ", "\t"))
    return {name: "\n".join(lines) + "\n" for name, lines in found.items()}


def test_every_format_has_an_example() -> None:
    assert examples().keys() == FORMATS.keys()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_example_of_a_format_is_read(name: str, tmp_path: Path) -> None:
    example = examples()["csv" if name == "parquet" else name]
    is_json = example[0] in "[{"
    file = tmp_path / {"imdb62": "imdb62.txt", "lamp": "dev_questions.json"}.get(
        name, "file.json" if is_json else "file.csv"
    )
    file.write_text(example, encoding="utf-8")
    if name == "parquet":
        rows = pyarrow.csv.read_csv(file)
        file = tmp_path / "file.parquet"
        pyarrow.parquet.write_table(rows, file)
    if name == "lamp":
        golds = [{"id": row["id"], "output": "A headline."} for row in json.loads(example)]
        (tmp_path / "dev_outputs.json").write_text(json.dumps({"task": "LaMP_4", "golds": golds}))
    read = read_texts(file)
    texts = [row for row in read if isinstance(row, Text)]
    assert read.format == name
    assert len(texts) >= 3 and len(texts) == len(list(read)), "and none is rejected"
    assert all(text.user_id and text.body for text in texts)


def test_every_fault_of_a_value_is_listed() -> None:
    codes = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    by_field = {code.removeprefix("FIELD_") for code in codes if code.startswith("FIELD_")}
    assert by_field | {"scale", "unreadable"} == set(FAULTS)
    assert {"rating_scale", "language_unreadable"} <= codes


def test_every_code_of_a_reader_is_listed() -> None:
    given = [pair for _, tree in trees("stores/datasets") for pair in codes_given(tree)]
    codes = {"row"} | {code for name, code in given if name in ("BadRow", "Reject")}
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert codes and not codes - listed, f"not in docs/data.md: {codes - listed}"
