"""Arms of a benchmark: configurations of the loop, and floors, which run no model.

A configuration names the evidence and the summariser of each side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from ...nodes.budget import Mode

if TYPE_CHECKING:
    from .floors import Neighbours

Reasoner = Literal[
    "model", "silent", "quoted", "extractive", "constant", "swapped", "merged", "given"
]
"""Author of a side's summary.

`model`: the language model, as in serving. `silent`: none, the side is left out. `quoted`: the
evidence itself, verbatim. `extractive`: sentences and traits taken from the evidence. `constant`:
one fixed text for everybody. `swapped`: the model, from the other side's evidence. `merged`: the
model, from both sides' evidence in one prompt of twice the length. `given`: a text that the caller
passes for each user."""

SIDES = ("style", "preference")


@dataclass(frozen=True)
class Side:
    """Configuration of one trajectory.

    Attributes:
        strategy: Retrieval strategy, a name in `Parts.strategies`.
        reasoner: Author of the summary.
    """

    strategy: str = "aligned"
    reasoner: Reasoner = "model"


SILENT = Side(reasoner="silent")


@dataclass(frozen=True)
class Configuration:
    """Configuration of the loop.

    Attributes:
        style: The style trajectory.
        preference: The preference trajectory.
        iterations: Maximum number of iterations.
        drafts: Number of drafts by integrate; several are sampled at `temperature`, and the one
            most similar to the others is kept (minimum Bayes risk by ROUGE-1).
        temperature: Sampling temperature of several drafts.
        adapters: LoRA adapter of each role; a role without one runs on the base model.
        k: Texts of evidence per side; None: by the budget.
        mode: Whether integrate reads the user's own texts beside the summaries.
    """

    style: Side = field(default_factory=Side)
    preference: Side = field(default_factory=Side)
    iterations: int = 1
    drafts: int = 1
    temperature: float = 0.5
    adapters: Mapping[str, str] = field(default_factory=dict)
    k: int | None = None
    mode: Mode = "summaries"

    def side(self, name: str) -> Side:
        """Return a trajectory's configuration by its name."""
        return {"style": self.style, "preference": self.preference}[name]

    @property
    def borrows_summaries(self) -> bool:
        """Whether a side receives the summary of another target."""
        return "given" in (self.style.reasoner, self.preference.reasoner)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that identify the configuration."""
        said = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha1(said.encode()).hexdigest()[:12]


Kind = Literal["main", "control", "floor"]

ALL_TASKS = ("long", "short", "rating", "free")


@dataclass(frozen=True)
class Arm:
    """One row of the table and its only definition.

    Attributes:
        name: Name of the arm.
        kind: `main`: part of the claim. `control`: could refute the claim. `floor`: no model.
        says: Description in one line.
        configuration: Configuration of the loop; None for a floor.
        write: Function of a floor.
        tasks: Supported tasks.
        version: Version of a floor; increase it when its output changes.
    """

    name: str
    kind: Kind
    says: str
    configuration: Configuration | None = None
    write: Callable[[Neighbours], str] | None = None
    tasks: tuple[str, ...] = ALL_TASKS
    version: int = 1

    @property
    def fingerprint(self) -> str:
        """Identifier that changes when the arm gives other drafts."""
        if self.configuration is None:
            return f"{self.name} {self.version}"
        return self.configuration.fingerprint
