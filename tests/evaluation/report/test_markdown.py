"""The tables of `results.json` as Markdown."""

import json
from pathlib import Path
from xml.etree import ElementTree

from patlm.cli.main import app
from patlm.evaluation.report.markdown import results_tables
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
