"""Every example runs, offline, and prints what it says it does."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import DRAFT, DRAFT_LATER, PREFERENCE_SAYS
from processes import FAKE_MODEL, ROOT, run_python

EXAMPLES = ROOT / "examples"


def check_quickstart(out: str) -> None:
    draft, borrowed = out.splitlines()
    assert draft in (DRAFT, DRAFT_LATER)
    # Style is borrowed from other people, one text of each.
    assert len(set(re.findall(r"'([\w-]+)'", borrowed)) - {"ana"}) == 8


def check_app_graph(out: str) -> None:
    streamed, reply = out.splitlines()
    # Two iterations, each draft word by word; nothing of the reasoners among it.
    assert streamed.replace("|", "").split() == f"{DRAFT} {DRAFT_LATER}".split()
    assert streamed.count("|") >= len(streamed.split())
    assert re.fullmatch(r"Here is a draft: .+ \(max_iterations\)", reply)


def check_own_data(out: str) -> None:
    first, second, *evidence, last = out.splitlines()
    assert first == "6 rows: 6 added, 0 rejected"
    # Otto wrote two texts, neither on the slow cooker; mira's is the only one on it.
    assert second.startswith("for otto (few of otto's texts known): ")
    assert [line for line in evidence if "preference: mira on slow-cooker" in line]
    assert not [line for line in evidence if re.match(r"  \w+: otto ", line)]
    assert last == "forgotten: 2 texts, 0 bytes left"


def check_own_models(out: str) -> None:
    style, draft, models = out.splitlines()
    assert re.fullmatch(r"style: The writer .+ takes about \d+ words a sentence\.", style)
    assert draft.removeprefix("draft: ") in (DRAFT, DRAFT_LATER)
    assert "'style': 'counting-stylist'" in models
    assert "'integrate': 'word-by-word'" in models


def check_third_trajectory(out: str) -> None:
    summaries = dict(line.split(": ", 1) for line in out.splitlines())
    assert set(summaries) == {"style", "preference", "lately", "draft"}
    assert summaries["preference"] == PREFERENCE_SAYS
    assert summaries["lately"] == "Nothing special."  # what the fake says in a role of its own


def check_train_tiny(out: str) -> None:
    before, trained, after = out.splitlines()
    assert 20 < int(re.findall(r"(\d+)% warm", before)[0]) < 80
    assert re.fullmatch(r"style@1: \d{3,} pairs, \d+ steps, None", trained)
    assert int(re.findall(r"(\d+)% warm", after)[0]) >= 90
    assert after.endswith("promoted {'style': 'style@1'}")


def check_twelve_people(out: str) -> None:
    assert out.count("### ") == out.count(f"> {DRAFT}") == 12
    assert len(re.findall(r"\d+ words; the real text \d+\.", out)) == 12


CHECKS: dict[str, Callable[[str], None]] = {
    "quickstart.py": check_quickstart,
    "app_graph.py": check_app_graph,
    "own_data.py": check_own_data,
    "own_models.py": check_own_models,
    "third_trajectory.py": check_third_trajectory,
    "train_tiny.py": check_train_tiny,
    "twelve_people.py": check_twelve_people,
}


FAST = {"quickstart.py"}


def test_every_example_is_checked() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(CHECKS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in FAST)) for name in CHECKS],
)
def test_example_runs(name: str, tmp_path: Path) -> None:
    # One thread: tiny models gain nothing from more, and lose much where other work goes on.
    env = {"PATLM_MODEL": FAKE_MODEL, "OMP_NUM_THREADS": "1"}
    done = run_python(EXAMPLES / name, cwd=tmp_path, **env)
    assert done.returncode == 0, done.stderr
    CHECKS[name](done.stdout)
