"""Who writes files is known: as a kind of copy that `forget` finds, or as holding no texts."""

import ast
import re

import pytest
from patlm.stores.copies.kinds import KINDS
from source import trees

WRITING = {
    *("write_atomic", "write_json", "append_line", "replacing", "new_file", "make_folder"),
    *("draft_of", "save_pretrained", "save_to_disk", "to_parquet", "mkdtemp", "copytree"),
    *("copyfile", "savefig", "TemporaryDirectory", "copy2", "copyfileobj", "move", "mkstemp"),
    *("write_text", "write_bytes", "touch", "mkdir", "makedirs", "NamedTemporaryFile", "save_file"),
    *("symlink_to", "hardlink_to", "FileLock", "O_CREAT", "O_WRONLY", "O_RDWR", "O_APPEND"),
}
"""Names in whatever writes a file or a folder, the flags of `os.open` among them."""
_MODE = re.compile(r"[rwaxbt+]*[wax+][rwaxbt+]*")
WRITERS = {
    "bench/data.py": "a store in a folder that is removed",
    "bench/encoder_rivals.py": "a store in a folder that is removed",
    "bench/plots.py": "figures",
    "bench/retrieval/corpus_files.py": "stores",
    "bench/serving/inputs.py": "random weights, in a folder that is removed",
    "bench/serving/load.py": "a store in a folder that is removed",
    "bench/serving/run.py": "random weights, in a folder that is removed",
    "bench/campaign.py": "made-up texts, in a store that is removed",
    "bench/soak/run.py": "made-up texts, in a folder that is removed, unless it is named",
    "bench/soak/site.py": "numbers of made-up people",
    "bench/soak/workers.py": "made-up weights, in that folder",
    "bench/training.py": "rows in a folder that is removed",
    "cli/bench/speed.py": "stores, in a folder that is removed unless it is named",
    "cli/output.py": "nothing: it opens what stands for a closed stream",
    "cli/runs/compare.py": "page",
    "cli/runs/inspect.py": "page",
    "cli/training/train_encoder.py": "learned",
    "evaluation/cache.py": "answers",
    "evaluation/compare.py": "a store in a folder that is removed, or stores",
    "evaluation/dataset.py": "stores",
    "evaluation/items.py": "items",
    "evaluation/report/page.py": "page",
    "evaluation/report/svg.py": "figures",
    "evaluation/run.py": "examples",
    "graph/open.py": "the sample corpus, and a copy that is removed",
    "models/conversion.py": "public weights",
    "models/download.py": "public weights",
    "models/encoders/style.py": "learned, which its callers note",
    "models/installed.py": "public weights",
    "stores/adapters/folders.py": "weights, which the receipt names as adapters",
    "stores/adapters/lineage.py": "hashes of people",
    "stores/adapters/promotions.py": "names of adapters",
    "stores/copies/kinds.py": "what is left after forgetting",
    "stores/copies/ledger.py": "paths",
    "stores/datasets/ingest.py": "rejects",
    "stores/datasets/splits.py": "splits",
    "stores/episodes/feedback.py": "traces",
    "stores/episodes/redaction.py": "what is left after forgetting",
    "stores/episodes/shards.py": "traces",
    "stores/forgotten.py": "an empty file that processes lock",
    "stores/files.py": "what the others hand over",
    "stores/texts/connection.py": "the store itself",
    "training/data/export.py": "export",
    "training/rounds/results.py": "figures and hashes",
    "training/rounds/stages.py": "figures",
    "training/rounds/state.py": "figures",
    "training/trainer/method.py": "run",
    "training/trainer/model.py": "weights, which the receipt names as adapters",
    "training/trainer/run_folder.py": "figures",
}
NOBODY_NOTES = {"splits", "checkpoints"}
"""Kinds that need no note: beside the store, and what apps make themselves."""


def test_every_module_that_writes_says_what() -> None:
    found = set()
    for name, tree in trees("stores", "models", "nodes", "graph", "evaluation"):
        found |= {name} if writes(tree) else set()
    for name, tree in trees("training", "bench", "cli"):
        found |= {name} if writes(tree) else set()
    assert found == set(WRITERS), found ^ set(WRITERS)


def writes(tree: ast.Module) -> bool:
    names = {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(tree)}
    return not names.isdisjoint(WRITING) or any(map(opens_to_write, ast.walk(tree)))


def opens_to_write(node: ast.AST) -> bool:
    """Say whether a node is a call of some `open` with a mode to write."""
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    given = [*node.args, *(each.value for each in node.keywords)]
    modes = [each.value for each in given if isinstance(each, ast.Constant)]
    return name in ("open", "fdopen") and any(
        isinstance(mode, str) and _MODE.fullmatch(mode) for mode in modes
    )


@pytest.mark.parametrize(
    "source",
    [
        "os.open(path, os.O_CREAT | os.O_RDWR, 0o600)",
        "open(path, 'wb')",
        "path.open('a')",
        "path.open(mode='r+')",
        "os.fdopen(found, 'x')",
        "path.write_text('x')",
    ],
)
def test_any_way_to_write_is_seen(source: str) -> None:
    assert writes(ast.parse(source)) and not writes(ast.parse("open(path, 'rb').read()"))


def test_every_kind_is_noted_where_it_is_written() -> None:
    """By name, in a call of `note_copy` or in the table that one goes through."""
    noted: set[str] = set()
    for _, tree in trees("graph", "evaluation", "training", "bench", "cli"):
        source = ast.unparse(tree)
        if "note_copy" in source:
            noted |= {
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and node.value in KINDS
            }
    assert noted == set(KINDS) - NOBODY_NOTES
