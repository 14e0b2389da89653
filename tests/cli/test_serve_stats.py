"""`patlm serve-stats`: the numbers of running processes, for people and for programs."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from patlm.cli import serve_stats
from patlm.cli.main import app
from patlm.graph import Settings
from patlm.graph import open as opening
from patlm.models.stats_file import ProcessStats, StatsFile, read_stats
from serving_reports import batch_report, call_report, until
from store_fixtures import cheap_encoders
from tiny_models import tiny_llama, tiny_tokenizer
from typer.testing import CliRunner

GONE = 2**22 + 1
"""A process that can't be: above the largest number that Linux gives."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of this process, which serves, and of one that ended."""
    path = tmp_path / "stats"
    file = StatsFile(path, "tiny[1]", every_s=60)
    calls = (
        call_report("style", adapter="style@3", first_token_s=0.5, ended_s=1.0),
        call_report(None, prompt_tokens=1_300, new_tokens=30, first_token_s=0.7, ended_s=2.0),
    )
    file(batch_report(*calls, capture_seconds=0.05, waiting=7))
    (found,) = until(lambda: read_stats(path))
    ended = found.model_copy(update={"pid": GONE, "model": "old"})
    (path / f"{GONE}.json").write_text(ended.model_dump_json())
    yield path
    file.close()


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def call(*arguments: object, **env: str) -> Result:
    words = ["serve-stats", *map(str, arguments)]
    return CliRunner().invoke(app, words, env=env)


def output(*arguments: object) -> dict[str, Any]:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def cells(text: str, role: str) -> list[str]:
    """Return what stands in the row of a role."""
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [role]]
    return line.split()[1:]


def test_programs_get_every_number(folder: Path) -> None:
    found = output("--stats", folder)
    (process,) = found["processes"]
    assert found["ended"] == 1
    assert (process["pid"], process["model"], process["running"]) == (os.getpid(), "tiny[1]", True)
    assert ProcessStats.model_validate(process) in read_stats(folder)
    stats = process["stats"]
    assert (stats["waiting"], stats["adapters"]) == (7, {"base": 1, "style@3": 1})
    # 40 new tokens in 2 s; first tokens at .5 and .7 s: .69 is 95% of the way.
    assert stats["total"]["tokens_per_s"] == 20.0
    assert stats["total"]["ttft_ms"] == pytest.approx({"p50": 600.0, "p95": 690.0})
    assert stats["roles"]["style"]["total_ms"] == {"p50": 1000.0, "p95": 1000.0}


def test_people_get_a_table(folder: Path) -> None:
    result = call(**{"PATLM_STATS": str(folder)})
    assert result.exit_code == 0, result.output
    assert re.search(rf"tiny\[1\], process {os.getpid()}, \d s ago", result.stdout)
    # calls failed batch new/s read/s first total capture; 10 / 2 and 100 / 2 tokens a second.
    row = ["1", "0", "1.0", "5", "50", "500/500", "1000/1000", "2.5%"]
    assert cells(result.stdout, "style") == row
    row = ["2", "0", "2.0", "20", "700", "600/690", "1500/1950", "2.5%"]
    assert cells(result.stdout, "all") == row
    assert "queue 7, 1 batches of 2.0 calls, the last of 2" in result.stdout
    assert "20 new and 700 read tokens/s" in result.stdout
    assert "base 1, style@3 1" in result.stdout
    assert str(GONE) not in result.stdout


def test_the_table_fits_a_narrow_terminal(folder: Path) -> None:
    result = call("--stats", folder, **{"COLUMNS": "80"})
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert cells(result.stdout, "all")[-2:] == ["1500/1950", "2.5%"]  # nothing was cut


def test_all_shows_those_that_ended(folder: Path) -> None:
    found = output("--stats", folder, "--all")
    assert {row["pid"]: row["running"] for row in found["processes"]} == {
        os.getpid(): True,
        GONE: False,
    }
    assert f"old, process {GONE}, ended" in call("--stats", folder, "--all").stdout


def test_nothing_is_serving(folder: Path, tmp_path: Path) -> None:
    (folder / f"{os.getpid()}.json").unlink()
    says = f"nothing is serving: no running process writes to {folder}"
    result = call("--stats", folder)
    assert result.exit_code == 0
    assert result.stdout == f"{says}; 1 that ended: --all shows them\n"
    assert call("--stats", tmp_path / "no").stdout.startswith("nothing is serving: no running")
    assert output("--stats", tmp_path / "no") == {"processes": [], "ended": 0}


def test_no_folder_is_one_line() -> None:
    result = call()
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("patlm: no folder is named: give --stats DIR")


def test_a_file_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call("--stats", tmp_path / "file")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"patlm: {tmp_path / 'file'}: Not a directory\n"


def test_a_damaged_file_is_a_warning(folder: Path) -> None:
    (folder / "1.json").write_text("{")
    result = call("--stats", folder, "--json")
    assert result.exit_code == 0 and len(json.loads(result.stdout)["processes"]) == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"warning: {folder / '1.json'} is left out")


def test_watch_shows_it_anew_until_it_is_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[float] = []
    mine = folder / f"{os.getpid()}.json"
    later = mine.read_text().replace('"waiting":7', '"waiting":5')

    def wait(seconds: float) -> None:
        looked.append(seconds)
        mine.write_text(later)
        if len(looked) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(serve_stats, "sleep", wait)
    result = call("--stats", folder, "--watch", **{"FORCE_COLOR": "1", "TERM": "xterm"})
    assert (result.exit_code, looked) == (0, [1.0, 1.0])
    assert result.stdout.index("queue 7, ") < result.stdout.index("queue 5, ")


def test_watch_and_json_do_not_go_together(folder: Path) -> None:
    result = call("--stats", folder, "--watch", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "leave out one of the two" in result.stderr


async def test_a_process_that_was_set_up_with_it_is_seen_and_then_gone(
    tmp_path: Path, sample_store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    model, folder = tmp_path / "model", tmp_path / "stats"
    tokenizer = tiny_tokenizer()
    tiny_llama(len(tokenizer)).save_pretrained(model)
    tokenizer.save_pretrained(model)
    monkeypatch.setenv("PATLM_STATS", str(folder))
    settings = Settings(model=str(model), store=str(sample_store_path), dtype="fp32")
    async with opening.open_parts(settings) as parts:
        tokens = {}
        for role in ("style", "preference"):
            answer = await parts.chat[role].model.ainvoke(role, role=role, max_tokens=3)
            tokens[role] = answer.usage_metadata["input_tokens"]
        async with asyncio.timeout(10):
            while not (found := await asyncio.to_thread(output, "--stats", folder))["processes"]:
                await asyncio.sleep(0.05)
    (process,) = found["processes"]
    assert process["model"] == str(model)
    (process,) = output("--stats", folder, "--all")["processes"]
    assert not process["running"]
    roles = process["stats"]["roles"]
    assert {role: figures["prompt_tokens"] for role, figures in roles.items()} == tokens
    assert process["stats"]["total"]["calls"] == 2
