"""Who writes files is known: as a kind of copy that `forget` finds, or as holding no texts."""

import ast

from patlm.stores.copies.kinds import KINDS
from source import trees

WRITING = {
    *("write_atomic", "write_json", "append_line", "replacing", "new_file", "make_folder"),
    *("draft_of", "save_pretrained", "save_to_disk", "to_parquet", "mkdtemp", "copytree"),
    *("copyfile", "savefig", "TemporaryDirectory"),
}
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
    return not names.isdisjoint(WRITING)


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
