"""What is imported when nothing has been opened yet: no model library, no database."""

import subprocess
import sys

import pytest

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
