"""The names of `patlm.nodes` that an app uses: requests, results, parts, trajectories."""

from __future__ import annotations

from ..nodes.budget import BUDGETS, Budget
from ..nodes.dependencies import ChatRole, Parts
from ..nodes.reason import TRAJECTORIES, Trajectory
from ..nodes.state import Evidence, Request, Result, RunContext

__all__ = [
    "BUDGETS",
    "Budget",
    "ChatRole",
    "Evidence",
    "Parts",
    "Request",
    "Result",
    "RunContext",
    "TRAJECTORIES",
    "Trajectory",
]
