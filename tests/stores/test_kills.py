"""Processes killed at random moments lose nothing; `tools/kills.py` does the same many times."""

from dataclasses import replace
from pathlib import Path

import pytest
from killing import KINDS, kill

pytestmark = pytest.mark.slow

TIMES = 3


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kill_leaves_is_whole(kind: str, tmp_path: Path) -> None:
    survived, lost = kill(kind, tmp_path, TIMES, seed=1)
    assert (survived, lost) == (TIMES, [])


def test_a_loss_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lose(_: Path) -> None:
        raise AssertionError("gone")

    monkeypatch.setitem(KINDS, "promotion", replace(KINDS["promotion"], check=lose))
    assert kill("promotion", tmp_path, 1, seed=0) == (
        0,
        ["promotion, kill 0: AssertionError: gone"],
    )
