"""Show what modes of writing do for the same requests, side by side: `patlm compare`.

It is for reading, not for measuring: the first requests of a file are written for without any
context and in each mode, and a page shows real texts, drafts, summaries and evidence beside each
other. Nothing is kept but what the caller writes: the store of the file is temporary unless a
folder is named.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..graph.open import LEAST_CONFIDENCE, chat_role, opened_budget
from ..graph.settings import ROLES, Settings
from ..models.open import model_name, token_counter
from ..nodes.dependencies import Parts
from ..nodes.errors import LoopError
from ..nodes.state import Task
from ..stores.datasets.sample import sample_corpus
from ..stores.datasets.splits import Split
from ..stores.values import RatingScale
from .arms.configuration import Arm, Configuration
from .arms.registry import ARMS, UnknownArm, arms_named
from .dataset import BenchmarkData, open_benchmark, read_benchmark
from .errors import EvaluationError
from .evaluator import Evaluator, Outcome
from .progress import Watch
from .report.html import render
from .report.markdown import plain, quotation
from .targets import ONE_INPUT, Target, targets_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MODES: Mapping[str, str] = {
    "none": "no_context",
    "quoted": "neighbours_raw",
    "summaries": "both",
    "own_quoted": "own_quoted",
}
"""The arm of each mode; other arms are named by their own names."""

IN_FLIGHT = 48
"""Number of concurrent drafts: they share the batches of a local model."""


class NothingWritten(EvaluationError):
    """Every draft failed."""

    code = "nothing_written"


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared.

    Attributes:
        data: File of texts; None: the sample corpus.
        modes: Names of modes or arms.
        task: The task; None: `free` for LaMP and LongLaMP, `long` for others.
        split: Split of the targets; None: `report`, all of the sample corpus. `all` is all.
        limit: Number of requests: the first ones by the hash of their ids.
        iterations: Maximum number of iterations of the modes that have summaries.
        sequential: Whether one draft is made after the other, so that each one's seconds are those
            of a lone caller.
        rating_scale: Scale of the ratings; None: that of the file's format, or 1 to 5.
    """

    data: Path | None = None
    modes: Sequence[str] = tuple(MODES)
    task: Task | None = None
    split: Split | str | None = None
    limit: int = 6
    iterations: int = 1
    sequential: bool = False
    rating_scale: RatingScale | None = None


@dataclass(frozen=True)
class ModeDraft:
    """What one mode wrote for a request.

    Attributes:
        mode: The mode.
        text: The draft.
        summaries: What each reasoner wrote; None where it abstained.
        evidence: Other people's texts that were used, by side.
        own: The user's own texts that were used.
        calls: Number of model calls.
        tokens_in: Tokens of their prompts.
        tokens_out: Tokens of their answers.
        seconds: Seconds of the calls, added up.
        warnings: What a caller would be told.
        failed: Error message if there is no draft.
    """

    mode: str
    text: str = ""
    summaries: Mapping[str, str | None] = field(default_factory=dict)
    evidence: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    own: Sequence[Mapping[str, Any]] = ()
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    warnings: Sequence[str] = ()
    failed: str | None = None

    @property
    def words(self) -> int:
        """Number of words of the draft."""
        return len(self.text.split())


@dataclass(frozen=True)
class Compared:
    """One request with the drafts of all modes.

    Attributes:
        id: `Target.id`.
        user_id: Whom it is written for.
        topic_id: What it is about.
        given: What the request says: title, text or instruction.
        real: What the person really wrote.
        own_texts: Number of the person's other texts on other topics.
        drafts: One for each mode.
    """

    id: str
    user_id: str
    topic_id: str
    given: Mapping[str, str]
    real: str
    own_texts: int
    drafts: Sequence[ModeDraft]


@dataclass(frozen=True)
class Comparison:
    """Requests with the drafts of each mode.

    Attributes:
        data: Name of the data set.
        task: The task.
        split: Split of the requests, or `all`.
        model: Name of the language model.
        modes: What each mode does.
        sequential: Whether one draft was made after the other.
        seconds: Duration, without opening model and store.
        requests: The requests.
    """

    data: str
    task: str
    split: str
    model: str
    modes: Mapping[str, str]
    sequential: bool
    seconds: float
    requests: Sequence[Compared]

    def drafts_of(self, mode: str) -> list[ModeDraft]:
        """Return the drafts of a mode that did not fail."""
        drafts = [draft for each in self.requests for draft in each.drafts if draft.mode == mode]
        return [draft for draft in drafts if draft.failed is None]

    def mean(self, mode: str, of: str) -> float | None:
        """Return the mean of a number of a mode's drafts, None without any draft."""
        values = [getattr(draft, of) for draft in self.drafts_of(mode)]
        return sum(values) / len(values) if values else None

    @property
    def real_words(self) -> float:
        """Mean number of words of the real texts."""
        return sum(len(each.real.split()) for each in self.requests) / len(self.requests)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; each draft also has its number of `words`."""
        found = asdict(self)
        for each, shown in zip(self.requests, found["requests"], strict=True):
            for draft, fields in zip(each.drafts, shown["drafts"], strict=True):
                fields["words"] = draft.words
        return found

    def page(self) -> str:
        """Return the comparison as a self-contained HTML page."""
        return render("compare.html.j2", found=self)

    def markdown(self) -> str:
        """Return the comparison as Markdown."""
        return render("compare.md.j2", found=self, plain=plain, quote=quotation).strip() + "\n"


def arms_of(plan: ComparisonPlan) -> dict[str, Arm]:
    """Return the arm of each mode, with the iterations of the plan.

    Raises:
        UnknownArm: A name is neither a mode nor an arm; it may be a group, or a floor, which has no
            model.
    """
    found = {}
    known = ", ".join((*MODES, *(arm.name for arm in ARMS.values() if arm.configuration)))
    for name in plan.modes:
        arm, *others = arms_named([MODES.get(name, name)])
        if others:
            raise UnknownArm(f"{name} is a group of arms: take some of {known}")
        if arm.configuration is None:
            raise UnknownArm(
                f"{name} is a floor, not a way to write: take some of {known}",
                code="floor_is_no_arm",
            )
        configuration = replace(arm.configuration, iterations=plan.iterations)
        found[name] = replace(arm, configuration=configuration)
    return found


def read_requests(plan: ComparisonPlan) -> tuple[BenchmarkData, list[Target], str]:
    """Return the data, the chosen targets and the split; no model or store is opened.

    Raises:
        FormatError: The file can't be read.
        NoTargets: It has no target for the task in this split.
    """
    data = read_benchmark(plan.data or sample_corpus(), scale=plan.rating_scale)
    split = plan.split or ("all" if plan.data is None else "report")
    found = targets_of(
        data.name,
        data.texts,
        plan.task or ("free" if data.format in ONE_INPUT else "long"),
        splits=data.splits,
        split=None if split == "all" else split,  # type: ignore[arg-type]  # checked by the caller
        one_input=data.format in ONE_INPUT,
    )
    return data, found[: plan.limit], split


async def compare(
    plan: ComparisonPlan,
    chat: BaseChatModel,
    settings: Settings,
    watch: Watch,
    *,
    cache: Path | None = None,
) -> Comparison:
    """Write for the first requests of a file in each mode.

    Args:
        plan: What is compared.
        chat: The language model of all roles.
        settings: Its encoder, budget and prompts are used.
        watch: Receives progress.
        cache: Folder that keeps the store of the file; None: a temporary one.

    Raises:
        EvaluationError: There is nothing to compare, or every draft failed.
        StoreError: The store can't be filled.
    """
    arms = arms_of(plan)
    data, targets, split = read_requests(plan)
    watch.say(f"{data.name}: {len(data.texts)} texts are stored")
    async with _open(data, chat, settings, cache) as parts:
        watch.begin(len(targets) * len(arms), 0, "drafts")
        began = time.perf_counter()
        evaluator, turns = Evaluator(parts), asyncio.Semaphore(1 if plan.sequential else IN_FLIGHT)

        async def draft(target: Target, mode: str) -> ModeDraft:
            async with turns:
                written = await _draft(evaluator, parts, arms[mode], mode, target)
            watch.advance(written)
            return written

        async with asyncio.TaskGroup() as group:
            tasks = [[group.create_task(draft(each, mode)) for mode in arms] for each in targets]
        seconds = time.perf_counter() - began
    drafts = [[task.result() for task in row] for row in tasks]
    failed = [each.failed for row in drafts for each in row]
    if all(failed):
        raise NothingWritten(f"every draft failed; the first: {failed[0]}")
    return Comparison(
        data=data.name,
        task=targets[0].task,
        split=split,
        model=model_name(chat),
        modes={mode: arm.says for mode, arm in arms.items()},
        sequential=plan.sequential,
        seconds=round(seconds, 1),
        requests=[_compared(each, row) for each, row in zip(targets, drafts, strict=True)],
    )


@asynccontextmanager
async def _open(
    data: BenchmarkData, chat: BaseChatModel, settings: Settings, cache: Path | None
) -> AsyncIterator[Parts]:
    with ExitStack() as exits:
        folder = cache or Path(
            exits.enter_context(tempfile.TemporaryDirectory(prefix="patlm-compare-"))
        )
        async with open_benchmark(data, folder, encoder=settings.encoder) as (store, encoders):
            role = chat_role(chat)
            yield Parts(
                store=store,
                style_encoder=encoders.style,
                topic_encoder=encoders.topic,
                chat=dict.fromkeys(ROLES, role),
                count=token_counter(chat),
                budget=opened_budget(settings, [role]),
                prompt_folder=settings.prompts,
                guards=settings.guards,
                least_confidence=LEAST_CONFIDENCE,
                min_authors=settings.min_authors,
                rating_scale=store.rating_scale,
            )


async def _draft(
    evaluator: Evaluator, parts: Parts, arm: Arm, mode: str, target: Target
) -> ModeDraft:
    assert arm.configuration is not None  # `arms_of` refuses floors
    try:
        outcome = await evaluator.run(arm.configuration, target)
    except LoopError as error:
        return ModeDraft(mode, failed=str(error))
    tokens_in, tokens_out = _tokens(outcome, parts)
    return ModeDraft(
        mode=mode,
        text=outcome.draft,
        summaries=_written_summaries(arm.configuration, outcome),
        evidence=outcome.evidence,
        own=outcome.own,
        calls=len(outcome.calls),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        seconds=round(sum(call["seconds"] for call in outcome.calls), 2),
        warnings=outcome.warnings,
    )


def _written_summaries(configuration: Configuration, outcome: Outcome) -> dict[str, str | None]:
    """Return the summaries but for quoted texts, which are shown as evidence."""
    sides = {"style": configuration.style, "preference": configuration.preference}
    quoted = {name for name, side in sides.items() if side.reasoner == "quoted"}
    return {name: said for name, said in outcome.summaries.items() if name not in quoted}


def _tokens(outcome: Outcome, parts: Parts) -> tuple[int, int]:
    """Return the tokens of prompts and answers, counted where the model does not report them."""
    read = written = 0
    for call in outcome.calls:
        prompt = "\n".join(turn["content"] for turn in call["messages"])
        read += call.get("tokens_in") or parts.count(prompt)
        written += call.get("tokens_out") or parts.count(call["text"])
    return read, written


def _compared(target: Target, drafts: Sequence[ModeDraft]) -> Compared:
    said = {name: target.request.get(name) for name in ("title", "text", "instruction")}
    return Compared(
        id=target.id,
        user_id=target.text.user_id,
        topic_id=target.text.topic_id,
        given={name: words for name, words in said.items() if words},
        real=target.real,
        own_texts=target.own,
        drafts=drafts,
    )
