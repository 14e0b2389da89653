"""What is imported when nothing has been opened yet: no model library, no database.

And what works in an install without extras: their packages are hidden from a process, as if they
were not installed.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from patlm.models.extras import EXTRAS
from patlm.stores.datasets.sample import sample_corpus
from processes import run_python

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


def loaded_after(code: str) -> set[str]:
    """Return the heavy packages that a fresh process has loaded after some code."""
    report = f"import sys; print(' '.join(n for n in {HEAVY!r} if n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "from patlm.graph import Personalizer, make_graph; make_graph(); Personalizer('s')",
        "from patlm.graph import *",
        "import patlm.cli.main, patlm.stores, patlm.models, patlm.training, patlm.bench",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded_after(code) == set()


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


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each command of MISSING, all run in one process."""
    folder = tmp_path_factory.mktemp("light")
    code = (
        f"{WITHOUT_EXTRAS}import json\n"
        "from typer.testing import CliRunner\n"
        "from patlm.cli.main import app\n"
        f"runs = [CliRunner().invoke(app, words, env=env) for words, _, env in {MISSING!r}]\n"
        "print(json.dumps([(r.exit_code, r.stdout, r.stderr or repr(r.exc_info)) for r in runs]))"
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


def test_a_graph_of_a_missing_extra_names_it(tmp_path: Path) -> None:
    """As `langgraph dev` runs it, which passes on the message of a RuntimeError."""
    names = EXTRAS["local"]
    code = (
        f"import asyncio, sys; sys.modules.update(dict.fromkeys({names!r}))\n"
        "from patlm.graph import make_graph\n"
        "request = {'user_id': 'a', 'task': 'long', 'title': 'Warm'}\n"
        "try: asyncio.run(make_graph().ainvoke(request))\n"
        "except RuntimeError as error: print(error)"
    )
    done = run_python("-c", code, cwd=tmp_path, PATLM_MODEL="somebody/some-model")
    assert done.returncode == 0, done.stderr
    assert "pip install 'patlm[local]'" in done.stdout


def test_a_public_name_that_needs_an_extra_says_so(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from patlm.models import MissingExtra, StyleEncoder\n"
        "try: from patlm.models import GraphSage\n"
        "except MissingExtra as error: print(error)"
    )
    done = run_python("-c", code, cwd=tmp_path)
    assert "GraphSage needs" in done.stdout and "patlm[local]" in done.stdout, done.stderr


def test_the_check_would_see_it() -> None:
    assert "numpy" in loaded_after("import numpy")


def test_help_loads_no_graph_either() -> None:
    code = (
        "from typer.testing import CliRunner; from patlm.cli.main import app\n"
        "assert CliRunner().invoke(app, ['write', '--help']).exit_code == 0\n"
        "import sys; assert 'langgraph' not in sys.modules, 'langgraph is loaded for --help'"
    )
    assert loaded_after(code) == set()


def test_every_public_name_is_there_and_a_wrong_one_is_told() -> None:
    code = (
        "import patlm.graph, patlm.models, patlm.stores\n"
        "for p in (patlm.graph, patlm.models, patlm.stores):\n"
        "    assert set(p.__all__) <= set(dir(p)), set(p.__all__) - set(dir(p))\n"
        "    for name in p.__all__: getattr(p, name)\n"
        "    try: p.no_such_name\n"
        "    except AttributeError as error: assert 'no_such_name' in str(error)\n"
        "    else: raise SystemExit('a name that is not there')"
    )
    loaded_after(code)
