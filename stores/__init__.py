"""What is kept: texts, users and topics on LanceDB, how evidence is found in them, adapters.

Public names are resolved on first use (PEP 562), so that importing this package loads neither
LanceDB nor Arrow. `ingest` is not among them: the module of that name would take its place.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter_errors import (
        AdapterDamaged,
        AdapterError,
        AdapterExists,
        AdapterNotFound,
        AdapterUnfit,
    )
    from .adapter_lineage import Chain
    from .adapter_manifest import Manifest, parse_name
    from .adapter_people import people_in, person_key
    from .adapter_pruning import Pruned
    from .adapters import Adapter, AdapterRegistry
    from .artefacts import Artefact
    from .display_names import is_display_name
    from .episode_schema import (
        Episode,
        EvidenceRecord,
        Feedback,
        Group,
        IterationRecord,
        Message,
        Sample,
        SamplingSettings,
        TargetRecord,
    )
    from .episodes import (
        DamagedLine,
        EpisodeWriter,
        UnknownEpisodeVersion,
        forget_episodes,
        read_episodes,
    )
    from .errors import (
        EncoderMismatch,
        InvalidFilter,
        InvalidQuery,
        InvalidText,
        NoSuchStore,
        NotForgotten,
        SchemaMismatch,
        StoreBusy,
        StoreError,
    )
    from .feedback import EmptyFeedback, NoSuchRun, give_feedback, read_feedback
    from .file_rows import FormatError, Reject
    from .graph_form import GraphForm
    from .outcomes import Added, Compacted, Receipt, StoreStats
    from .readers import FORMATS, RowFile, detect, read_texts
    from .records import Embedded, Encoder, Found, History, Hit, Neighbour, Text, Vectors
    from .sample import sample_corpus
    from .split_files import (
        SplitsError,
        extend_splits,
        find_splits_file,
        forget_split,
        load_splits,
        save_splits,
    )
    from .splits import Place, Splits, deal, latest_as_targets
    from .text_store import TextStore

_MODULES = {
    "Adapter": "adapters",
    "AdapterDamaged": "adapter_errors",
    "AdapterError": "adapter_errors",
    "AdapterExists": "adapter_errors",
    "AdapterNotFound": "adapter_errors",
    "AdapterRegistry": "adapters",
    "AdapterUnfit": "adapter_errors",
    "Added": "outcomes",
    "Artefact": "artefacts",
    "Chain": "adapter_lineage",
    "Compacted": "outcomes",
    "DamagedLine": "episodes",
    "Embedded": "records",
    "EmptyFeedback": "feedback",
    "Encoder": "records",
    "EncoderMismatch": "errors",
    "Episode": "episode_schema",
    "EpisodeWriter": "episodes",
    "EvidenceRecord": "episode_schema",
    "FORMATS": "readers",
    "Feedback": "episode_schema",
    "FormatError": "file_rows",
    "Found": "records",
    "GraphForm": "graph_form",
    "Group": "episode_schema",
    "History": "records",
    "Hit": "records",
    "InvalidFilter": "errors",
    "InvalidQuery": "errors",
    "InvalidText": "errors",
    "IterationRecord": "episode_schema",
    "Manifest": "adapter_manifest",
    "Message": "episode_schema",
    "Neighbour": "records",
    "NoSuchRun": "feedback",
    "NoSuchStore": "errors",
    "NotForgotten": "errors",
    "Place": "splits",
    "Pruned": "adapter_pruning",
    "Receipt": "outcomes",
    "Reject": "file_rows",
    "RowFile": "readers",
    "Sample": "episode_schema",
    "SamplingSettings": "episode_schema",
    "SchemaMismatch": "errors",
    "Splits": "splits",
    "SplitsError": "split_files",
    "StoreBusy": "errors",
    "StoreError": "errors",
    "StoreStats": "outcomes",
    "TargetRecord": "episode_schema",
    "Text": "records",
    "TextStore": "text_store",
    "UnknownEpisodeVersion": "episodes",
    "Vectors": "records",
    "deal": "splits",
    "detect": "readers",
    "extend_splits": "split_files",
    "find_splits_file": "split_files",
    "forget_episodes": "episodes",
    "forget_split": "split_files",
    "give_feedback": "feedback",
    "is_display_name": "display_names",
    "latest_as_targets": "splits",
    "load_splits": "split_files",
    "parse_name": "adapter_manifest",
    "people_in": "adapter_people",
    "person_key": "adapter_people",
    "read_episodes": "episodes",
    "read_feedback": "feedback",
    "read_texts": "readers",
    "sample_corpus": "sample",
    "save_splits": "split_files",
}

__all__ = [
    "Adapter",
    "AdapterDamaged",
    "AdapterError",
    "AdapterExists",
    "AdapterNotFound",
    "AdapterRegistry",
    "AdapterUnfit",
    "Added",
    "Artefact",
    "Chain",
    "Compacted",
    "DamagedLine",
    "Embedded",
    "EmptyFeedback",
    "Encoder",
    "EncoderMismatch",
    "Episode",
    "EpisodeWriter",
    "EvidenceRecord",
    "FORMATS",
    "Feedback",
    "FormatError",
    "Found",
    "GraphForm",
    "Group",
    "History",
    "Hit",
    "InvalidFilter",
    "InvalidQuery",
    "InvalidText",
    "IterationRecord",
    "Manifest",
    "Message",
    "Neighbour",
    "NoSuchRun",
    "NoSuchStore",
    "NotForgotten",
    "Place",
    "Pruned",
    "Receipt",
    "Reject",
    "RowFile",
    "Sample",
    "SamplingSettings",
    "SchemaMismatch",
    "Splits",
    "SplitsError",
    "StoreBusy",
    "StoreError",
    "StoreStats",
    "TargetRecord",
    "Text",
    "TextStore",
    "UnknownEpisodeVersion",
    "Vectors",
    "deal",
    "detect",
    "extend_splits",
    "find_splits_file",
    "forget_episodes",
    "forget_split",
    "give_feedback",
    "is_display_name",
    "latest_as_targets",
    "load_splits",
    "parse_name",
    "people_in",
    "person_key",
    "read_episodes",
    "read_feedback",
    "read_texts",
    "sample_corpus",
    "save_splits",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
