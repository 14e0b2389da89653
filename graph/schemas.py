"""The names of `patlm.nodes` that an app uses: requests, results, parts, trajectories."""

from __future__ import annotations

from ..nodes.dependencies import ChatRole, Parts, PromptBudget
from ..nodes.reason import TRAJECTORIES, Trajectory
from ..nodes.state import Evidence, Request, Result, RunContext

__all__ = [
    "ChatRole",
    "Evidence",
    "Parts",
    "PromptBudget",
    "Request",
    "Result",
    "RunContext",
    "TRAJECTORIES",
    "Trajectory",
]
