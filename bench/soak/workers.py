"""What each process of a soak does, and what it checks of all that it sees.

Each has a loop of single actions. An action ends well, or with an error of ours that is counted by
its code; any other error ends the process and the soak.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.messages import BaseMessage
from safetensors.numpy import save_file

from ...graph.forget import Places, forget_user
from ...graph.open import open_store
from ...graph.personalizer import Personalizer
from ...models.errors import ModelError
from ...nodes.state import Result
from ...stores.adapters.manifest import CONFIG, WEIGHTS, Manifest
from ...stores.adapters.registry import AdapterRegistry
from ...stores.copies.audit import audit
from ...stores.datasets.ingest import ingest
from ...stores.errors import AdapterNotFound, CodedError, StoreBusy
from ...stores.files import make_folder, write_json
from ...stores.texts.store import TextStore
from ...stores.types import Text
from ..fake_model import FakeModel
from .site import ENCODER, MARK, TENANTS, TOPICS, MadeUpPerson, PeopleList, Site

ACTIONS_AN_OPENING = 100
"""Then a process closes the store and opens it anew, as one that was started again."""

LATE_RUNS = 40
"""Runs that feedback may still come on."""

ROLE = "style"
BASE = "0123456789abcdef"


def repeat_marks(messages: list[BaseMessage]) -> str:
    """Answer with every mark that stands in the messages."""
    read = " ".join(str(message.text) for message in messages)
    marks = " ".join(mark.decode() for mark in MARK.findall(read.encode()))
    return f"Warm and plain, {marks} and worth it."


@dataclass
class WorkReport:
    """What one process did so far.

    Attributes:
        name: Its name.
        counts: How often what was done, and came of it.
        broken: Invariants that it saw broken.
        seconds: Durations of what is timed, by name.
        ended: Whether the process is done.
    """

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    ended: bool = False

    async def timed(self, what: str, action: Awaitable[Any]) -> Any:
        """Wait for something, count it and keep its duration, whether it ends well or not."""
        began = time.perf_counter()
        try:
            done = await action
        except (CodedError, ModelError) as error:
            self.counts[f"{what} refused: {error.code}"] += 1
            raise
        finally:
            self.counts[what] += 1
            self.seconds.setdefault(what, []).append(time.perf_counter() - began)
        return done


Act = Callable[[], Awaitable[None]]
Opened = Callable[[AsyncExitStack, Site, WorkReport], Awaitable[Act]]


def work(site: Site, name: str) -> None:
    """Do one kind of work until the soak ends: what a process runs.

    Args:
        site: Where.
        name: An entry of `WORK`.
    """
    report = WorkReport(name)
    try:
        asyncio.run(_keep_working(site, report, WORK[name]))
    # The boundary of the process: whatever ended it, the soak has failed and says why.
    except Exception as error:  # noqa: BLE001
        report.broken.append(f"{name} ended: {type(error).__name__}: {error}")
        site.stop.set()
    report.ended = True
    site.reports.put(report)
    site.arrived.release()


async def _keep_working(site: Site, report: WorkReport, opened: Opened) -> None:
    while not site.stop.is_set():
        async with AsyncExitStack() as exits:
            act = await opened(exits, site, report)
            for _ in range(ACTIONS_AN_OPENING):
                if site.stop.is_set():
                    return
                if site.pause.is_set():
                    site.reports.put(report)
                    site.arrived.release()
                    await asyncio.to_thread(site.resume.wait)
                try:
                    await act()
                except (CodedError, ModelError):
                    pass  # counted where it was raised


async def _open_ingest(exits: AsyncExitStack, site: Site, report: WorkReport) -> Act:
    store = await exits.enter_async_context(open_store(str(site.store), encoder=ENCODER))
    people, rng = PeopleList(site.root).read(), random.Random()

    async def act() -> None:
        here = people.read().here()
        if len(here) >= site.people:
            await asyncio.sleep(0.05)
            return
        first = len(people.came)  # one process alone lets people come
        coming = [MadeUpPerson(first + at) for at in range(rng.randint(2, 10))]
        people.note("came", coming)
        told = await report.timed("ingest", ingest(store, _slowly(site, coming, rng)))
        report.counts["texts in"] += told.added
        report.counts["texts dropped, their author was forgotten meanwhile"] += told.forgotten

    return act


def _slowly(site: Site, coming: list[MadeUpPerson], rng: random.Random) -> Iterator[Text]:
    texts = [text for person in coming for text in person.texts(site.seed)]
    rng.shuffle(texts)
    for text in texts:
        time.sleep(0.005)  # in the thread that reads: some are forgotten before the end
        yield text


async def _open_requests(tenant: str, exits: AsyncExitStack, site: Site, report: WorkReport) -> Act:
    opened = Personalizer(
        site.store,
        model=FakeModel(answer=repeat_marks),
        trace=site.trace,
        namespace=tenant,
        encoder=ENCODER,
        copied_words=0,  # what is read shall be seen in what is written
    )
    personalizer = await exits.enter_async_context(opened)
    return _Requests(personalizer, site, report, tenant).act


class _Requests:
    """Requests of one tenant's people, and feedback on them, some of it late."""

    def __init__(
        self, personalizer: Personalizer, site: Site, report: WorkReport, tenant: str
    ) -> None:
        self._personalizer, self._report, self._tenant = personalizer, report, tenant
        self._people, self._rng = PeopleList(site.root), random.Random()
        self._late: list[tuple[MadeUpPerson, str]] = []
        self._adapters = AdapterRegistry(site.adapters)

    async def act(self) -> None:
        """Write for somebody, look at it, and give feedback on an earlier run."""
        asking = [
            person
            for person in self._people.read().here()
            if person.tenant == self._tenant and person.asks
        ]
        if not asking:
            await asyncio.sleep(0.05)
            return
        person, gone = self._rng.choice(asking), set(self._people.gone)
        writing = self._personalizer.awrite(
            person.user_id,
            title="Bread in the morning, at last",
            topic_id=f"topic-{self._rng.randrange(TOPICS)}",
            max_iterations=self._rng.randint(1, 2),
        )
        result = await self._report.timed("request", writing)
        self._look(person, gone, result)
        # Whoever is not being forgotten yet made the request before: nothing of it may stay.
        if person.number not in self._people.leaving and len(self._late) < LATE_RUNS:
            self._late.append((person, result.run_id))
        await self._check_adapter()
        if self._late and self._rng.random() < 0.6:
            await self._give_feedback()

    def _look(self, person: MadeUpPerson, gone: set[int], result: Result) -> None:
        marks = set(MARK.findall(result.model_dump_json().encode()))
        known = self._people.read().marks
        self._report.counts["marks of texts in answers"] += len(marks)
        for mark in marks:
            author, private = known[mark.decode()]
            says = f"{author.user_id} in a request of {person.user_id}"
            if author.number in gone:
                self._report.broken.append(f"forgotten before, and served: {says}")
            if author.tenant != self._tenant:
                self._report.broken.append(f"another tenant's: {says}")
            if private and author != person:
                self._report.broken.append(f"private, and served: {says}")

    async def _give_feedback(self) -> None:
        person, run_id = self._late.pop(self._rng.randrange(len(self._late)))
        gone = person.number in self._people.gone
        if self._rng.random() < 0.5:
            said = self._personalizer.feedback(run_id, rating=self._rng.randint(1, 5))
            await self._report.timed("feedback", said)
        else:
            edited = person.body(self._rng, private=True)
            said = self._personalizer.feedback(run_id, edited=edited, add=True)
            await self._report.timed("feedback with a text", said)
            self._report.counts["texts in"] += 1
        if gone:
            self._report.broken.append(f"feedback on a run of {person.user_id}, who was forgotten")

    async def _check_adapter(self) -> None:
        promoted = await asyncio.to_thread(self._adapters.promoted)
        if ROLE in promoted:
            try:
                await asyncio.to_thread(self._adapters.get, promoted[ROLE])
            except AdapterNotFound:  # rolled back and pruned since
                self._report.counts["promoted adapters that were pruned since"] += 1
            self._report.counts["promoted adapters read"] += 1


async def _open_forget(exits: AsyncExitStack, site: Site, report: WorkReport) -> Act:
    store = await exits.enter_async_context(TextStore.open_existing(str(site.store)))
    people, rng = PeopleList(site.root), random.Random()
    places = Places(uri=str(site.store), trace=site.trace, adapters=site.adapters)

    async def act() -> None:
        here = people.read().here()
        if len(here) < site.people // 2:
            await asyncio.sleep(0.05)
            return
        # The oldest has been seen most; the latest is in the middle of an ingest.
        person = rng.choice([here[0], here[-1], rng.choice(here)])
        people.note("leaving", [person])
        while True:  # as people do who are told to give the same command again
            try:
                forgetting = forget_user(store, person.tenant, person.user_id, places)
                receipt = await report.timed("forget", forgetting)
                break
            except StoreBusy:
                continue
        people.note("gone", [person])
        report.counts["texts out"] += receipt.removed["texts"]
        report.counts["forgotten without a text yet"] += not receipt.removed["texts"]
        ids = () if person.asks else (person.user_id,)
        found = await asyncio.to_thread(site.found, ids)
        left = {found[each] for each in (*_marks(person), *ids)} - {0}
        report.counts["found in bytes after a receipt"] += sum(left)
        if left:
            report.broken.append(f"{person.user_id}: in bytes after the receipt")
        if receipt.bytes_found_after or receipt.bytes_found_before != receipt.pieces:
            report.broken.append(f"{person.user_id}: the receipt proves nothing: {receipt}")

    return act


def _marks(person: MadeUpPerson) -> tuple[str, str]:
    return person.mark(private=False), person.mark(private=True)


async def _open_upkeep(exits: AsyncExitStack, site: Site, report: WorkReport) -> Act:
    store = await exits.enter_async_context(TextStore.open_existing(str(site.store)))
    registry, rng = AdapterRegistry(site.adapters), random.Random()
    made = await asyncio.to_thread(make_adapter, site.root / "trained")

    def add() -> None:
        step = registry.next_step(ROLE)
        registry.add(made, Manifest(role=ROLE, step=step, base=BASE, base_name="made up"))

    def promote() -> None:
        registry.promote(rng.choice(registry.adapters()).name)
        registry.get(registry.promoted()[ROLE])

    def roll_back() -> None:
        registry.rollback(ROLE)

    async def act() -> None:
        what: dict[str, Callable[[], object]] = {
            "adapter added": add,
            "adapter promoted": promote,
            "adapter rolled back": roll_back,
            "adapters pruned": lambda: registry.prune(3),
        }
        looks: dict[str, Callable[[], Awaitable[object]]] = {
            "compaction": lambda: store.compact(threshold=0),
            "statistics": store.stats,
            "audit": lambda: audit(store, str(site.store), trace=site.trace),
        }
        name = rng.choice([*looks, *what, "adapter added", "adapter promoted"])
        if name in looks:
            await report.timed(name, looks[name]())
        elif registry.promoted() or name != "adapter rolled back":
            if registry.adapters() or name == "adapter added":
                await report.timed(name, asyncio.to_thread(what[name]))
        await asyncio.sleep(rng.random() / 4)

    return act


def make_adapter(folder: Path) -> Path:
    """Write a LoRA adapter of one tiny layer, and return its folder."""
    write_json(make_folder(folder) / CONFIG, {"peft_type": "LORA", "r": 1})
    row = np.ones((1, 4), np.float32)
    layer = "base_model.model.layer"
    save_file(
        {f"{layer}.lora_A.weight": row, f"{layer}.lora_B.weight": row.T.copy()}, folder / WEIGHTS
    )
    return folder


WORK: dict[str, Opened] = {
    "ingest": _open_ingest,
    **{f"requests of {tenant}": partial(_open_requests, tenant) for tenant in TENANTS},
    "forgetting": _open_forget,
    "upkeep": _open_upkeep,
}
"""What is done at once, each in a process of its own."""
