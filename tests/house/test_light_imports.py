"""What is imported when nothing has been opened yet: no model library, no database.

And what works in an install without extras: their packages are hidden from a process, as if they
were not installed.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import patlm.graph
import patlm.models
import patlm.stores
import pytest
from patlm.models.extras import EXTRAS
from patlm.stores.datasets.sample import sample_corpus
from processes import run_python
from raising import raises

HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "lancedb",
    "pyarrow",
    "peft",
    "numpy",
    "langchain_huggingface",
)


HELP = (
    "from typer.testing import CliRunner; from patlm.cli.main import app\n"
    "assert CliRunner().invoke(app, ['write', '--help']).exit_code == 0"
)
STEPS = (
    (HELP, set()),
    ("from patlm.graph import Personalizer, make_graph; make_graph(); Personalizer('s')", set()),
    ("from patlm.graph import *", set()),
    ("import patlm.cli.main, patlm.stores, patlm.models, patlm.training, patlm.bench", set()),
    ("import numpy", {"numpy"}),  # the check would see it
)


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    """One fresh process does one step after the other."""
    names = (*HEAVY, "langgraph")
    report = f"print(' '.join(n for n in {names!r} if n in sys.modules))"
    code = "\n".join(f"{step}\n{report}" for step, _ in STEPS)
    done = run_python("-c", f"import sys\n{code}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    help_loads, *others = [set(line.split()) for line in done.stdout.splitlines()]
    assert "langgraph" not in help_loads
    loaded = [help_loads, *(each - {"langgraph"} for each in others)]
    assert loaded == [heavy for _, heavy in STEPS]


# But for `datasets`: lancedb looks it up in `sys.modules`.
HIDDEN = [name for packages in EXTRAS.values() for name in packages if name != "datasets"]
WITHOUT_EXTRAS = f"import sys; sys.modules.update(dict.fromkeys({HIDDEN!r}))\n"
"""The beginning of a program that runs where no extra is installed."""


def light(tmp_path: Path, *words: object) -> tuple[int, str, str]:
    """Run `patlm ...` where no extra is installed."""
    command = f"from patlm.cli.main import app; app({[str(word) for word in words]!r})"
    done = run_python("-c", WITHOUT_EXTRAS + command, cwd=tmp_path)
    return done.returncode, done.stdout, done.stderr


REQUEST = ("--user", "somebody-new", "--topic", "wool-blanket", "--title", "Warm at last")


@pytest.mark.bundled
@pytest.mark.slow  # the check of the wheel does nearly the same, in a real install
def test_a_store_is_filled_and_served_without_any_extra(tmp_path: Path) -> None:
    status, out, err = light(tmp_path, "ingest", sample_corpus(), "--store", "s", "--json")
    assert status == 0, err
    assert json.loads(out)["added"] == 256
    model = ("--model", "python:fakes:scripted")
    status, out, err = light(tmp_path, "write", "--store", "s", *model, *REQUEST, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["text"] and len(found["evidence"]["preference"]) == 6
    status, out, err = light(tmp_path, "doctor", "--store", "s", "--json")
    names = {each["name"]: each for each in json.loads(out)["findings"]}
    assert names["extra [local]"]["ok"] is None and "patlm[local]" in names["extra [local]"]["says"]
    assert names["store"]["ok"] is True and names["computer"]["ok"] is True
    # With the extras the same store opens: both encoders are the same.
    done = run_python(
        *("-m", "patlm.cli.main", "write", "--store", "s", *model, *REQUEST, "--json"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    for side, pieces in found["evidence"].items():
        ids = [piece["text_id"] for piece in pieces]
        assert ids == [piece["text_id"] for piece in theirs["evidence"][side]]


MISSING: Sequence[tuple[list[str], str, dict[str, str]]] = (
    (["write", *REQUEST, "--model", "somebody/some-model"], "local", {}),
    (["write", *REQUEST], "local", {}),
    (["write", *REQUEST, "--model", "smollm2-135m"], "local", {}),
    (["models", "install"], "local", {}),
    (["write", *REQUEST, "--model", "openai:some-model"], "remote", {}),
    (["bench", "encoder", "--data", str(sample_corpus())], "bench", {}),
    (["retrieve", *REQUEST], "static", {"PATLM_ENCODER": "static:x"}),
    (["retrieve", *REQUEST], "local", {"PATLM_ENCODER": "somebody/some-encoder"}),
    (["retrieve", *REQUEST], "remote", {"PATLM_ENCODER": "openai:some-encoder"}),
)
"""Commands, the extra that each needs, and variables."""


OTHERS = """
import asyncio, os
from patlm.graph import make_graph
os.environ["PATLM_MODEL"] = "somebody/some-model"
request = {"user_id": "a", "task": "long", "title": "Warm"}
try: asyncio.run(make_graph().ainvoke(request))
except RuntimeError as error: said.append((1, "", str(error)))
from patlm.models import MissingExtra, StyleEncoder
try: from patlm.models import GraphSage
except MissingExtra as error: said.append((1, "", str(error)))
"""
"""The graph as `langgraph dev` runs it, which passes on a RuntimeError, and a public name."""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each command of MISSING, and what OTHERS say: one process."""
    folder = tmp_path_factory.mktemp("light")
    code = (
        f"{WITHOUT_EXTRAS}import json\n"
        "from typer.testing import CliRunner\n"
        "from patlm.cli.main import app\n"
        f"runs = [CliRunner().invoke(app, words, env=env) for words, _, env in {MISSING!r}]\n"
        "said = [(r.exit_code, r.stdout, r.stderr or repr(r.exc_info)) for r in runs]\n"
        f"{OTHERS}\nprint(json.dumps(said))"
    )
    done = run_python("-c", code, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [tuple(run) for run in json.loads(done.stdout)]


@pytest.mark.parametrize("number", range(len(MISSING)))
def test_a_missing_extra_is_one_line(refusals: list[tuple[int, str, str]], number: int) -> None:
    status, out, err = refusals[number]
    assert (status, out) == (1, ""), err
    (line,) = err.strip().splitlines()
    assert line.endswith(f"pip install 'patlm[{MISSING[number][1]}]'"), line


def test_a_graph_or_a_public_name_of_a_missing_extra_names_it(
    refusals: list[tuple[int, str, str]],
) -> None:
    graph, name = (said for _, _, said in refusals[len(MISSING) :])
    assert "pip install 'patlm[local]'" in graph
    assert "GraphSage needs" in name and "patlm[local]" in name


def test_every_public_name_is_there_and_a_wrong_one_is_told() -> None:
    for package in (patlm.graph, patlm.models, patlm.stores):
        assert set(package.__all__) <= set(dir(package)), set(package.__all__) - set(dir(package))
        for name in package.__all__:
            getattr(package, name)
        with raises(AttributeError, None, "no_such_name"):
            getattr(package, "no_" + "such_name")
