"""The loop: `Personalizer` for apps, `make_graph` for `langgraph dev`, `build_graph` for others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..nodes.parts import ChatRole, Parts, PromptBudget
    from ..nodes.state import Evidence, Request, Result, RunContext
    from ..nodes.trajectory import TRAJECTORIES, Trajectory
    from .builder import build_graph
    from .dev import make_graph
    from .events import DraftToken, NodeUpdate
    from .opening import open_parts, open_store
    from .personalizer import Personalizer
    from .runtime import Runtime, get_runtime
    from .settings import Settings

_HOMES = {
    "ChatRole": "..nodes.parts",
    "DraftToken": ".events",
    "Evidence": "..nodes.state",
    "NodeUpdate": ".events",
    "Parts": "..nodes.parts",
    "Personalizer": ".personalizer",
    "PromptBudget": "..nodes.parts",
    "Request": "..nodes.state",
    "Result": "..nodes.state",
    "RunContext": "..nodes.state",
    "Runtime": ".runtime",
    "Settings": ".settings",
    "TRAJECTORIES": "..nodes.trajectory",
    "Trajectory": "..nodes.trajectory",
    "build_graph": ".builder",
    "get_runtime": ".runtime",
    "make_graph": ".dev",
    "open_parts": ".opening",
    "open_store": ".opening",
}

__all__ = [
    "TRAJECTORIES",
    "ChatRole",
    "DraftToken",
    "Evidence",
    "NodeUpdate",
    "Parts",
    "Personalizer",
    "PromptBudget",
    "Request",
    "Result",
    "RunContext",
    "Runtime",
    "Settings",
    "Trajectory",
    "build_graph",
    "get_runtime",
    "make_graph",
    "open_parts",
    "open_store",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return __all__
