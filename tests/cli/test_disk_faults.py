"""Every command of the registry on a full disk, a read-only one, and with a damaged file.

Each ends with exit code 0 or one line, and no text that a store had confirmed is lost.
"""

import json
import logging
from collections import Counter
from pathlib import Path

import pytest
from commands import WORDS, commands
from disk_faults import command_folder
from processes import ROOT, TESTS, run_python

LEAST = {"full": 130, "read-only": 44}
"""Runs of each kind of fault; damaged files take long: `support/disk_faults.py FOLDER damaged`."""


def test_every_command_has_its_words() -> None:
    assert set(WORDS) == {command for command, _ in commands()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return command_folder(tmp_path_factory.mktemp("disk") / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("fault", LEAST)
def test_no_command_fails_badly_or_loses_a_text(whole: Path, fault: str) -> None:
    script = TESTS / "disk_faults.py"
    done = run_python(script, whole, fault, "25", cwd=ROOT, PYTHONPATH=f"{TESTS}:{ROOT}")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if "skipped" in found[0]:
        pytest.skip(found[0]["skipped"])
    bad = [each for each in found if not each["clean"] or each["lost"]]
    refused = Counter(each["command"] for each in found if each["code"])
    done_of = f"{len(found)} runs, {sum(refused.values())} refused, {len(bad)} bad"
    logging.getLogger(__name__).info("%s: %s", fault, done_of)
    assert bad == []
    assert len(found) >= LEAST[fault]
    assert sum(refused.values()) > len(found) / 10
