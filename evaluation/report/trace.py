"""Render recorded runs as a page: the path through the loop and the changes between iterations.

It is a single file without scripts, built from records only. The functions are pure; `cli/view.py`
reads the records, and writes or serves the page.

Texts are compared word by word, as people read them:

    changes("a fine view", "a grand view")
    # equal "a ", delete "fine ", insert "grand ", equal "view"

The equal and inserted spans together are exactly the new text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import SequenceMatcher
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup

from .html import render
from .loop_drawing import draw_loop, end_of, nodes_of, shown_seconds, trajectories_of

if TYPE_CHECKING:
    from ...stores.episodes.schema import Episode, EvidenceRecord, Group, IterationRecord, Sample

COMPARED_WORDS = 4000
"""Maximum number of words of the longer text for a comparison, whose time is quadratic."""


@dataclass(frozen=True)
class Span:
    """A run of words with the same kind of change.

    Attributes:
        kind: Whether the words are equal, inserted or deleted.
        text: The words, with the white space between them.
        space: The white space after them, kept separate so that it is not underlined.
    """

    kind: Literal["equal", "insert", "delete"]
    text: str
    space: str = ""


def changes(before: str, after: str) -> tuple[Span, ...]:
    """Return the spans that lead from one text to the next, in reading order.

    Words that differ only in the white space around them are equal, with that of the new text.
    Deleted words precede the inserted ones. Texts above `COMPARED_WORDS` are marked as replaced
    completely, unless they are equal.
    """
    old, new = _words(before), _words(after)
    return tuple(
        span
        for kind, words in _fates(old, new)
        for span in [_span(kind, words)]
        if span.text or span.space
    )


def _fates(
    old: Sequence[str], new: Sequence[str]
) -> Iterator[tuple[Literal["equal", "insert", "delete"], Sequence[str]]]:
    stripped = [word.strip() for word in old], [word.strip() for word in new]
    if stripped[0] == stripped[1]:
        yield "equal", new
        return
    if max(len(old), len(new)) > COMPARED_WORDS:
        yield "delete", old
        yield "insert", new
        return
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, *stripped).get_opcodes():
        if tag == "equal":
            yield "equal", new[j1:j2]
            continue
        if i2 > i1:
            yield "delete", old[i1:i2]
        if j2 > j1:
            yield "insert", new[j1:j2]


def _words(text: str) -> list[str]:
    """Split into words, each with the white space after it; the first also with that before it."""
    return re.findall(r"(?:^\s+)?\S+\s*", text)


def _span(kind: Literal["equal", "insert", "delete"], words: Sequence[str]) -> Span:
    whole = "".join(words)
    text = whole.rstrip()
    return Span(kind, text, whole[len(text) :])


@dataclass(frozen=True)
class ShownText:
    """A text of one iteration, compared to the previous iteration.

    Attributes:
        name: Name of a trajectory, or `draft`.
        text: The text, or None.
        why: Why there is no text: the side abstained, or left no record.
        spans: Changes; None if there is nothing to compare with.
        changed: Whether the text differs from the previous one.
    """

    name: str
    text: str | None
    why: str
    spans: tuple[Span, ...] | None
    changed: bool


@dataclass(frozen=True)
class ShownSide:
    """One trajectory in one iteration.

    Attributes:
        name: Name of the trajectory.
        evidence: Retrieved evidence, best first; None if it left no record.
        known: Text ids of the previous iteration.
        same: Whether the evidence is that of the previous iteration.
        summary: Summary of its reasoner.
    """

    name: str
    evidence: tuple[EvidenceRecord, ...] | None
    known: frozenset[str]
    same: bool
    summary: ShownText


@dataclass(frozen=True)
class Round:
    """One iteration as shown in the page."""

    record: IterationRecord
    sides: tuple[ShownSide, ...]
    draft: ShownText
    calls: tuple[Sample, ...]


@dataclass(frozen=True)
class Bar:
    """A node's duration as a share (0 to 1) of the longest duration of the run."""

    name: str
    seconds: float
    share: float


@dataclass(frozen=True)
class GroupView:
    """Candidates for one answer, with their rewards.

    Attributes:
        record: The context that they were sampled in.
        rewards: Names of the rewards that any candidate has, in order of occurrence.
        candidates: Candidates, highest reward first, those without a reward last.
    """

    record: Group
    rewards: tuple[str, ...]
    candidates: tuple[Sample, ...]

    @property
    def best(self) -> float | None:
        """The highest reward, or None."""
        return self.candidates[0].reward if self.candidates else None


@dataclass(frozen=True)
class RunView:
    """One run as shown in the page.

    Attributes:
        record: The record of the run.
        anchor: Id in the page, stable between renderings.
        began: Start time in UTC.
        end: Why it ended.
        seconds: Duration; None if not recorded, as for a failed run.
        request: Request by name of field.
        settings: Settings of the run.
        rounds: Iterations.
        bars: Durations of the nodes.
        drawing: Its path through the loop.
        groups: Groups of candidates.
    """

    record: Episode
    anchor: str
    began: datetime
    end: str
    seconds: float | None
    request: Mapping[str, str]
    settings: Mapping[str, str]
    rounds: tuple[Round, ...]
    bars: tuple[Bar, ...]
    drawing: Markup
    groups: tuple[GroupView, ...]


def render_view(records: Sequence[Episode], *, source: str = "", notes: Sequence[str] = ()) -> str:
    """Render the page of runs.

    Args:
        records: The runs, in page order.
        source: File or folder of the records.
        notes: Notes for the reader, such as lines that could not be parsed.
    """
    runs = [view_of(record) for record in records]
    return render(
        "trace.html.j2", runs=runs, source=source, notes=notes, shown_seconds=shown_seconds
    )


def view_of(record: Episode) -> RunView:
    """Convert a record for the page."""
    return RunView(
        record=record,
        anchor="run-" + re.sub(r"[^A-Za-z0-9]+", "-", record.run_id),
        began=began(record),
        end="emptied" if record.redacted is not None else end_of(record),
        seconds=record.timings.get("total"),
        request=_given(record.request),
        settings=_given(record.context),
        rounds=tuple(_rounds(record)),
        bars=_bars(record),
        drawing=draw_loop(record),
        groups=tuple(group_view(group, record.candidates(group.id)) for group in record.groups),
    )


def began(record: Episode) -> datetime:
    """Return the start of a run in UTC; a time without a zone is assumed to be UTC."""
    created = record.created
    return created.replace(tzinfo=UTC) if created.tzinfo is None else created.astimezone(UTC)


def group_view(group: Group, candidates: Sequence[Sample]) -> GroupView:
    """Convert a group of candidates for the page."""
    names = dict.fromkeys(name for sample in candidates for name in sample.rewards)
    best_first = sorted(candidates, key=lambda s: inf if s.reward is None else -s.reward)
    return GroupView(group, tuple(names), tuple(best_first))


def _given(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that are set, each as one line of text."""
    shown = {}
    for name, value in fields.items():
        if value is None or value == {}:
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key}: {entry}" for key, entry in value.items())
        shown[name] = str(value)
    return shown


def _rounds(record: Episode) -> Iterator[Round]:
    before: IterationRecord | None = None
    for iteration in record.iterations:
        yield Round(
            record=iteration,
            sides=tuple(_side(name, iteration, before) for name in trajectories_of(record)),
            draft=_told("draft", iteration.draft, before.draft if before else None, "no draft"),
            calls=tuple(_calls(record, iteration.iteration)),
        )
        before = iteration


def _calls(record: Episode, iteration: int) -> Iterator[Sample]:
    """Yield the calls of the run itself, without those of candidates, which are in their groups."""
    for sample in record.samples:
        own = sample.group is None and sample.replays is None
        if own and sample.iteration == iteration:
            yield sample


def _side(name: str, iteration: IterationRecord, before: IterationRecord | None) -> ShownSide:
    evidence = iteration.evidence.get(name)
    former = before.evidence.get(name, ()) if before is not None else ()
    said = iteration.summaries.get(name)
    return ShownSide(
        name=name,
        evidence=evidence,
        known=frozenset(piece.text_id for piece in former),
        same=bool(evidence) and evidence == former,
        summary=_told(
            name,
            said,
            before.summaries.get(name) if before else None,
            "abstained" if name in iteration.summaries else "no summary",
        ),
    )


def _told(name: str, text: str | None, before: str | None, why: str) -> ShownText:
    comparable = text is not None and before is not None
    return ShownText(
        name=name,
        text=text,
        why=why,
        spans=changes(before or "", text or "") if comparable else None,
        changed=text != before,
    )


def _bars(record: Episode) -> tuple[Bar, ...]:
    """Return the nodes' bars in the order of the loop, without the run's total."""
    longest = max(record.timings.values(), default=0.0) or 1.0
    names = dict.fromkeys([*(node.name for node in nodes_of(record)), *record.timings])
    return tuple(
        Bar(name, record.timings[name], record.timings[name] / longest)
        for name in names
        if name in record.timings and name != "total"
    )
