"""The tables of `results.json` as Markdown, and texts of others on such pages."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from patlm.cli.main import app
from patlm.evaluation.report.markdown import code, plain, quotation, results_tables
from patlm.evaluation.report.records import read_results
from report_results import results, several_histories
from typer.testing import CliRunner


def tables_of(tmp_path: Path, found: dict) -> str:
    file = tmp_path / "anything.json"
    file.write_text(json.dumps(found))
    return results_tables(read_results(file))


def test_every_arm_has_a_row_with_the_figures_of_the_file(tmp_path: Path) -> None:
    found = results()
    said = tables_of(tmp_path, found)
    for row in found["arms"] + found["floors"]:
        line = next(each for each in said.splitlines() if each.startswith(f"| `{row['arm']}` |"))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 8
        assert cells[1] == f"{row['metrics']['quality']['mean']:.3f}"
        assert cells[6] == f"{row['length']:.0f}"


def test_the_command_prints_the_tables_of_a_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "published.json"
    file.write_text(json.dumps(results()))
    ran = CliRunner().invoke(app, ["bench", "report", str(file), "--markdown"])
    assert ran.exit_code == 0, ran.output
    assert "| `copy_typical` |" in ran.output
    missing = CliRunner().invoke(app, ["bench", "report", str(tmp_path / "none"), "--markdown"])
    assert missing.exit_code == 1 and "no results.json in" in missing.output


def test_plots_are_pictures_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "published.json"
    file.write_text(json.dumps(several_histories()))
    ran = CliRunner().invoke(app, ["bench", "report", str(file), "--plots", str(tmp_path / "p")])
    assert ran.exit_code == 0, ran.output
    names = {path.name for path in (tmp_path / "p").iterdir()}
    assert {"gains-gap-long-all.svg", "histories-gap-long.svg"} <= names
    for path in (tmp_path / "p").iterdir():
        assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


MARKS = [
    "![a picture](http://a.example/x.png)",
    "[a link](http://a.example) and https://a.example or www.a.example",
    "<img src=x onerror=alert(1)><script>alert(1)</script><!-- ",
    "<http://a.example> [r]: http://a.example\n[r]\n\n[r]: http://a.example",
    "# A heading\n## Another\nA third\n===\nA fourth\n---",
    "1. one\n2) two\n- three\n+ four\n* five\n> six",
    "    code\n\tcode\n```\ncode\n```\n~~~\n`code` ``code``",
    "a | b\n--|--\n1 | 2",
    "**bold** __bold__ *it* _it_ ~~gone~~ snake_case_name",
    "a\\\nb\\*c* &lt;b&gt; &#33;[x](y) $x$ {.class}",
    "a\x1b[2J\u202eb\u2028# c\x85# d\r# e",
]


def tags(markdown: str) -> list[str]:
    """Return the elements of a page, as GitHub's tables and strike-through have them."""
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    return re.findall(r"<[^>]*>", page)


@pytest.mark.parametrize("text", MARKS)
def test_marks_in_a_text_are_characters(text: str) -> None:
    assert tags(str(plain(text))) == ["<p>", "</p>"]
    heading = tags(f"## 1. {plain(text)}\n\nnext")
    assert heading == ["<h2>", "</h2>", "<p>", "</p>"]
    quoted = {"<blockquote>", "<p>", "</p>", "</blockquote>"}
    assert set(tags(str(quotation(f"{text}\n\n{text}")))) == quoted
    cells = tags(f"| a |\n|---|\n| `{code(text)}` |\n| {plain(text)} |")
    assert cells.count("<tr>") == 3 and cells.count("<td>") == 2 and cells.count("<code>") == 1
    for shown in (plain(text), quotation(text)):
        assert not re.search(r"(?<!\\)://|www\.\w", shown), "no link without marks"


@pytest.mark.parametrize("mark", MARKS[:3])
def test_words_of_a_results_file_are_no_marks(mark: str, tmp_path: Path) -> None:
    found = results()
    sound = set(tags(tables_of(tmp_path, found)))
    found["arms"][1] |= {"arm": mark, "failed": 1}
    for verdict in found["verdicts"]:
        verdict |= {"side": mark, "verdict": mark, "missing": [mark]}
    assert set(tags(tables_of(tmp_path, found))) <= sound
