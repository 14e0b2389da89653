"""Use an installed patlm as a stranger would, from a folder without its sources."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

FAKE = """
from langchain_core.language_models import FakeListChatModel

def model():
    return FakeListChatModel(responses=["Short, warm sentences.", "They like it.", "I loved it!"])
"""


def patlm(*arguments: str) -> str:
    done = subprocess.run(["patlm", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"patlm {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def refused(*arguments: str) -> str:
    done = subprocess.run(["patlm", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def main() -> None:
    assert find_spec("torch") is None, "torch came with patlm alone"
    for package in ("stores", "models", "nodes", "graph", "evaluation", "training", "bench", "cli"):
        subprocess.run([sys.executable, "-c", f"import patlm.{package}"], check=True)
    assert "ingest" in patlm("--help")
    Path("fake.py").write_text(FAKE)
    from patlm.stores.datasets.sample import sample_corpus

    assert not str(sample_corpus()).startswith(str(Path.cwd().parent / "stores"))
    found = json.loads(patlm("ingest", str(sample_corpus()), "--store", "store", "--json"))
    assert found["added"] == found["rows"] == 256, found
    request = ["--user", "somebody-new", "--topic", "wool-blanket", "--title", "Warm at last"]
    answer = patlm("write", "--store", "store", "--model", "python:fake:model", *request, "--json")
    result = json.loads(answer)
    assert result["text"] and result["cold_start"] == "zero", result
    found = {side: len(texts) for side, texts in result["evidence"].items()}
    assert found == {"style": 8, "preference": 6}, result  # six others wrote about it
    assert all(piece["topic_id"] != "wool-blanket" for piece in result["evidence"]["style"])
    here = [*request, "--store", "store"]
    assert "patlm[local]" in refused("write", *here, "--model", "somebody/some-model")
    assert "patlm[remote]" in refused("write", *here, "--model", "openai:some-model")
    assert "patlm[bench]" in refused("bench", "encoder", "--data", str(sample_corpus()))
    print("the wheel works: imports, --help, ingest, write, and an extra that is missing is named")


if __name__ == "__main__":
    main()
