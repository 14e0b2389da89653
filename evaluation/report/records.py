"""Schemas of `results.json` and `examples.json` of `bench personalization`.

Both are read leniently: unknown keys are ignored, and a missing value is None, never 0. An error
names the place in the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from ..errors import EvaluationError

RESULTS, EXAMPLES = "results.json", "examples.json"

Bounds = Annotated[list[float | None], Field(min_length=2, max_length=2)]
Word = Annotated[str, BeforeValidator(lambda value: value if value is None else str(value))]
"""A word that may be written as a number, such as a history of 3 texts."""


class BrokenResults(EvaluationError):
    """A results file is missing, or was not written by `bench personalization`."""

    code = "broken_results"


class Figure(BaseModel):
    """A mean and its 95% interval."""

    mean: float | None
    ci95: Bounds | None = None


class ArmGain(Figure):
    """A mean of paired differences to the baseline, and its interval after Holm's correction."""

    against: str
    metric: str
    ci95_by_topic: Bounds | None = None
    holm: Bounds | None = None
    least_difference: float | None = None


class Bucket(BaseModel):
    """Gain among users with a range of own texts."""

    bucket: Word
    n: int
    gain: Figure | None = None


def _as_figure(value: Any) -> Any:
    """Convert a plain number to a figure without an interval."""
    return {"mean": value} if value is None or isinstance(value, int | float) else value


class Case(BaseModel):
    """One file, task and history."""

    data: str
    task: str
    history: Word

    @property
    def case(self) -> tuple[str, str, str]:
        """Data, task and history."""
        return self.data, self.task, self.history


class ArmRow(Case):
    """One arm, control or floor of a case."""

    arm: str
    kind: str
    n: int
    seeds: int = 1
    topics: int | None = None
    largest_topic: float | None = None
    failed: int = 0
    metrics: dict[str, Annotated[Figure, BeforeValidator(_as_figure)]]
    gain: ArmGain | None = None
    by_history: list[Bucket] = []
    copy_rate: float | None = None
    length: float | None = None
    exact: float | None = None
    cut_share: float | None = None
    pool_size: dict[str, float | None] | None = None
    overlap_with_aligned: dict[str, float | None] | None = None
    calls: float | None = None
    leaks: dict[str, float | None] | None = None
    over_copy_typical: Figure | None = None

    def mean(self, metric: str) -> float | None:
        """Return the mean of a metric, wherever the row holds it; None if it is missing."""
        if metric in self.metrics:
            return self.metrics[metric].mean
        in_row = {"length": self.length, "copy_rate": self.copy_rate, "exact": self.exact}
        return in_row.get(metric)


class VerdictTest(BaseModel):
    """One of the differences that a verdict depends on."""

    what: str
    arms: list[str] = []
    mean: float | None
    holm: Bounds | None = None
    n: int
    least_difference: float | None = None


class Below(Figure):
    """Whether a control falls below the arm without context; None where not significant."""

    below: bool | None = None


class Adds(Figure):
    """Gain of a side on top of the other one."""

    over: str


class Verdict(Case):
    """One of a case's three verdicts."""

    side: str
    verdict: str
    metric: str = "quality"
    tests: list[VerdictTest] = []
    below_no_context: dict[str, Below | None] = {}
    adds_to_the_other: Adds | None = None
    missing: list[str] = []


class Results(BaseModel):
    """Content of `results.json`."""

    settings: dict[str, Any]
    arms: list[ArmRow]
    floors: list[ArmRow] = []
    verdicts: list[Verdict] = []
    curves: dict[str, dict[str, list[float | None]]] = {}

    @property
    def cases(self) -> list[tuple[str, str, str]]:
        """Data, task and history of each case, in the file's order."""
        return list(dict.fromkeys(row.case for row in (*self.arms, *self.floors, *self.verdicts)))


class EvidenceText(BaseModel):
    """A text that was read as evidence, or an own text."""

    text_id: str | None = None
    user_id: str | None = None
    topic_id: str | None = None
    title: str | None = None
    body: str | None = None
    score: float | None = None
    strategy: str | None = None
    reason: str | None = None


def _as_piece(value: Any) -> Any:
    """Convert a plain text to a piece without other fields."""
    return {"body": value} if isinstance(value, str) else value


class Written(BaseModel):
    """Inputs and draft of one arm for one target."""

    arm: str
    draft: str | None = None
    metrics: dict[str, float | None] = {}
    summaries: dict[str, str | None] = {}
    evidence: dict[str, list[EvidenceText]] = {}
    own: list[Annotated[EvidenceText, BeforeValidator(_as_piece)]] = []


class ReportExample(Case):
    """One target with its real text and the draft of each arm."""

    id: Word
    cold_start: str | bool | None = None
    request: dict[str, str | float | None] = {}
    real: str | float | None = None
    arms: list[Written] = []


class Examples(BaseModel):
    """Content of `examples.json`."""

    examples: list[ReportExample] = []


Record = TypeVar("Record", Results, Examples)


def read_results(place: Path) -> Results:
    """Read `results.json`.

    Args:
        place: Its folder, or the file itself under any name.

    Raises:
        BrokenResults: It is missing, or was not written by the bench.
    """
    file = place if place.is_file() else place / RESULTS
    if not file.is_file():
        raise BrokenResults(
            f"no {RESULTS} in {place}: expected a folder written by "
            "`patlm bench personalization --out`",
            code="no_results",
        )
    return _read(file, Results)


def read_examples(folder: Path) -> Sequence[ReportExample]:
    """Read `examples.json`; empty if it is missing, as in a published folder.

    Raises:
        BrokenResults: It was not written by the bench.
    """
    file = folder / EXAMPLES
    return _read(file, Examples).examples if file.is_file() else []


def _read(file: Path, kind: type[Record]) -> Record:
    try:
        # Parse with `json`: half a surrogate pair, which `json.dumps` writes and pydantic rejects,
        # becomes a question mark.
        given = json.dumps(json.loads(file.read_bytes()), ensure_ascii=False)
        return kind.model_validate_json(given.encode("utf-8", "replace"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = f"{place}: {first['msg']}" if place else first["msg"]
        raise BrokenResults(_broken(file, said)) from error
    except ValueError as error:  # neither JSON nor UTF-8
        raise BrokenResults(_broken(file, str(error))) from error


def _broken(file: Path, said: str) -> str:
    return f"{file} is not as expected: {said}; run `patlm bench personalization --out` again"
