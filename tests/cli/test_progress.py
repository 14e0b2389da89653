"""How far a long command is, where there is no terminal to draw on."""

import pytest
from patlm.cli.output import progress


def test_lines_tell_of_the_start_and_of_every_tenth_of_all(capsys: pytest.CaptureFixture[str]):
    with progress() as watch:
        watch.begin(40, 28, "targets")
        for target in range(12):
            watch.advance(target)
    told = [line.split("  ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert told == [
        "40 targets, 28 already done",
        "8 targets left",
        "4 targets left",
        "0 targets left",
    ]
