"""Encode what a text is about: all-MiniLM-L6-v2, or any sentence-transformers model."""

from __future__ import annotations

from pathlib import Path

from .bundled import topic_model_path
from .sentence_encoder import SentenceEncoder, load_sentence_encoder


def open_topic_encoder(name: str = "bundled", *, dtype: str = "auto") -> SentenceEncoder:
    """Load a topic encoder. Blocks for seconds: call it in a thread.

    Args:
        name: "bundled", a folder, or a hub id of a sentence-transformers model. Only a hub id
            may reach a hub.
        dtype: See `device.choose_dtype`.

    Raises:
        ModelNotFound: Nothing is there under this name.
    """
    if name == "bundled":
        path = str(topic_model_path())
        return load_sentence_encoder(path, name="all-MiniLM-L6-v2", local=True, dtype=dtype)
    return load_sentence_encoder(name, name=name, local=Path(name).is_dir(), dtype=dtype)
