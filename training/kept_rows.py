"""Rows of a data set on disk while a trainer runs, so that all its processes read the same ones.

TRL keeps the reference's log-probabilities in a file beside the rows; rows in memory have no such
place in common. They are what people wrote: whoever has a folder made removes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset, load_from_disk

if TYPE_CHECKING:
    from transformers import TrainingArguments


def kept_rows(rows: list[dict[str, Any]], arguments: TrainingArguments, folder: Path) -> Dataset:
    """Write rows in the first process, and return them in all.

    Args:
        rows: The same in all processes.
        arguments: Of the trainer, which know the processes.
        folder: Where they go.
    """
    with arguments.main_process_first(local=False):
        if arguments.process_index == 0:
            Dataset.from_list(rows).save_to_disk(str(folder))
    return load_from_disk(str(folder))
