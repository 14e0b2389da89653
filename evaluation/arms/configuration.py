"""What an arm of a benchmark is: a way of running the loop, or a floor, which runs no model.

A configuration names for each side the evidence that is read and what summarises it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .floors import Neighbours

Reasoner = Literal[
    "model", "silent", "quoted", "extractive", "constant", "swapped", "merged", "given"
]
"""What writes a side's summary.

`model`: the language model, as in serving. `silent`: none, the side is left out. `quoted`: the
evidence itself, word for word. `extractive`: sentences and traits taken from the evidence.
`constant`: one fixed text for everybody. `swapped`: the model, from the other side's evidence.
`merged`: the model, from both sides' evidence in one prompt of twice the length. `given`: a text
that the caller has for each user.
"""

SIDES = ("style", "preference")


@dataclass(frozen=True)
class Side:
    """How one trajectory is run.

    Attributes:
        strategy: How its evidence is picked, a name of `Parts.strategies`.
        reasoner: What summarises it.
    """

    strategy: str = "aligned"
    reasoner: Reasoner = "model"


SILENT = Side(reasoner="silent")


@dataclass(frozen=True)
class Configuration:
    """One way of running the loop.

    Attributes:
        style: The style trajectory.
        preference: The preference trajectory.
        iterations: Rounds at most.
        drafts: Drafts that integrate writes, drawn at `temperature` where there are several; the
            one most like the others is kept (minimum Bayes risk by ROUGE-1).
        temperature: Of several drafts.
        adapters: LoRA adapter of each role; a role left out runs on the base model.
        k: Texts of evidence a side.
    """

    style: Side = field(default_factory=Side)
    preference: Side = field(default_factory=Side)
    iterations: int = 1
    drafts: int = 1
    temperature: float = 0.5
    adapters: Mapping[str, str] = field(default_factory=dict)
    k: int = 4

    def side(self, name: str) -> Side:
        """Return how a trajectory is run, by its name."""
        return {"style": self.style, "preference": self.preference}[name]

    @property
    def borrows_summaries(self) -> bool:
        """Whether a side is given the summary of another target."""
        return "given" in (self.style.reasoner, self.preference.reasoner)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change with anything of it."""
        said = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha1(said.encode()).hexdigest()[:12]


Kind = Literal["main", "control", "floor"]

ALL_TASKS = ("long", "short", "rating", "free")


@dataclass(frozen=True)
class Arm:
    """One row of the table; the only place that says anything about it.

    Attributes:
        name: What it is called.
        kind: `main`: what is claimed. `control`: what would refute it. `floor`: no model.
        says: What it is, in a line.
        configuration: How the loop is run; None for a floor.
        write: What a floor writes.
        tasks: What it can write.
        version: Of a floor: raise it when it writes something else.
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
        """What changes when the arm gives other drafts."""
        if self.configuration is None:
            return f"{self.name} {self.version}"
        return self.configuration.fingerprint
