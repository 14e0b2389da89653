"""One way of running the loop over a benchmark: what each side reads, and who sums it up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

Reasoner = Literal[
    "model", "silent", "quoted", "extractive", "constant", "swapped", "merged", "given"
]
"""Who writes a side's summary.

`model`: the language model, as in serving. `silent`: nobody, the side is left out. `quoted`: the
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
        reasoner: Who sums it up.
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
    def fingerprint(self) -> str:
        """Twelve hex digits that change with anything of it."""
        said = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha1(said.encode()).hexdigest()[:12]
