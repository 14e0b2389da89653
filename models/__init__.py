"""What computes: encoders, chat models and the bundled weights.

Names are resolved on first use (PEP 562), so that importing this package loads neither torch nor
transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter_slots import AdapterFiles
    from .batch_report import BatchReport
    from .bundled import chat_model_path, install, installed_models, topic_model_path
    from .chat import model_name, open_chat_model
    from .errors import (
        AdapterRefused,
        CallRefused,
        GenerationFailed,
        ModelBusy,
        ModelClosed,
        ModelError,
        ModelNotFound,
        ModelUnusable,
        RemoteFailed,
        WorkerDied,
    )
    from .graph_weights import GraphWeights
    from .graphsage import GraphSage
    from .local_chat import LocalChatModel
    from .local_loading import open_local_chat
    from .remote_chat import RemoteChatModel
    from .scheduling import BatchLimits
    from .sentence_encoder import EmbeddingsEncoder, SentenceEncoder
    from .serving_stats import ServingStats
    from .style_model import StyleEncoder
    from .token_count import token_counter
    from .topic_encoder import open_topic_encoder

_MODULES = {
    "AdapterFiles": "adapter_slots",
    "AdapterRefused": "errors",
    "BatchLimits": "scheduling",
    "BatchReport": "batch_report",
    "CallRefused": "errors",
    "EmbeddingsEncoder": "sentence_encoder",
    "GenerationFailed": "errors",
    "GraphSage": "graphsage",
    "GraphWeights": "graph_weights",
    "LocalChatModel": "local_chat",
    "ModelBusy": "errors",
    "ModelClosed": "errors",
    "ModelError": "errors",
    "ModelNotFound": "errors",
    "ModelUnusable": "errors",
    "RemoteChatModel": "remote_chat",
    "RemoteFailed": "errors",
    "SentenceEncoder": "sentence_encoder",
    "ServingStats": "serving_stats",
    "StyleEncoder": "style_model",
    "WorkerDied": "errors",
    "chat_model_path": "bundled",
    "install": "bundled",
    "installed_models": "bundled",
    "model_name": "chat",
    "open_chat_model": "chat",
    "open_local_chat": "local_loading",
    "open_topic_encoder": "topic_encoder",
    "token_counter": "token_count",
    "topic_model_path": "bundled",
}

__all__ = [
    "AdapterFiles",
    "AdapterRefused",
    "BatchLimits",
    "BatchReport",
    "CallRefused",
    "EmbeddingsEncoder",
    "GenerationFailed",
    "GraphSage",
    "GraphWeights",
    "LocalChatModel",
    "ModelBusy",
    "ModelClosed",
    "ModelError",
    "ModelNotFound",
    "ModelUnusable",
    "RemoteChatModel",
    "RemoteFailed",
    "SentenceEncoder",
    "ServingStats",
    "StyleEncoder",
    "WorkerDied",
    "chat_model_path",
    "install",
    "installed_models",
    "model_name",
    "open_chat_model",
    "open_local_chat",
    "open_topic_encoder",
    "token_counter",
    "topic_model_path",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{_MODULES[name]}", __name__).__dict__[name]


def __dir__() -> list[str]:
    return sorted(__all__)
