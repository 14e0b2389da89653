"""Run a soak: start the processes, look at the store while they pause, measure, and say what broke.

At a checkpoint all processes stand still between two actions, so that everything must add up: texts
that came less those that were removed are those that are held, users and topics count them, nobody
forgotten is in any byte of any file, and whoever is there is found in the bytes (else finding
nobody would prove nothing).
"""

from __future__ import annotations

import asyncio
import os
import queue
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil

from ...graph.open import open_store
from ...stores.copies.audit import audit
from ...stores.copies.ledger import VARIABLE
from ...stores.files import make_folder
from ...stores.texts.repair import adds_up
from ...stores.texts.store import TextStore
from .site import ENCODER, TENANTS, MadeUpPerson, PeopleList, Site
from .workers import WORK, WorkReport, work

Say = Callable[[str], None]

SAMPLED_EVERY_S = 5.0
KEPT_RECORDS_S = 60.0
"""Records of runs are removed at a checkpoint when they are older: an app keeps them for a time."""

MOST_GROWTH = 0.2
"""Growth of memory or files, from the second third to the last, from which they are not flat."""

JUDGED_FROM_MINUTES = 10.0
"""Shorter soaks are still filling caches: growth is told, and breaks nothing."""

UNKNOWN = ("ingest refused: store_busy", "feedback with a text refused: store_busy")
"""After these, nobody knows how many texts were kept: what is held is counted anew."""


@dataclass
class Soaked:
    """What a soak found.

    Attributes:
        counts: How often what was done, and came of it, in all processes.
        seconds: Durations by action.
        checkpoints: What was counted at each.
        samples: For each sample its second, the memory of each process in MB, and files and MB of
            the data.
        broken: Invariants that broke, each in a line.
    """

    counts: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    checkpoints: list[dict[str, int]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: counts, durations, slopes, checkpoints, what broke."""
        return {
            "minutes": round(self.samples[-1]["second"] / 60, 2) if self.samples else 0.0,
            "counts": dict(sorted(self.counts.items())),
            "seconds": {name: _spread(each) for name, each in sorted(self.seconds.items())},
            "rounds_of_forgetting": len(self.seconds.get("forget", ())),
            "bytes_found": self.counts["found in bytes after a receipt"]
            + sum(each["forgotten_found"] for each in self.checkpoints),
            "checkpoints": len(self.checkpoints),
            "last_checkpoint": self.checkpoints[-1] if self.checkpoints else {},
            "growth": {name: self.growth(name) for name in self._measured()},
            "broken": self.broken,
        }

    def _measured(self) -> list[str]:
        names = dict.fromkeys(name for each in self.samples for name in each)
        return [name for name in names if name != "second"]

    def growth(self, name: str) -> dict[str, float]:
        """Return means of the second and the last third of what is measured, and its slope."""
        rows = [each for each in self.samples if name in each]
        after = rows[len(rows) // 3 :]
        values = np.array([each[name] for each in after], float)
        minutes = np.array([each["second"] for each in after], float) / 60
        slope = float(np.polyfit(minutes, values, 1)[0]) if len(after) > 2 else 0.0
        middle, last = (float(part.mean()) if len(part) else 0.0 for part in _halves(values))
        return {"middle": round(middle, 1), "last": round(last, 1), "a_minute": round(slope, 3)}


def _halves(values: Any) -> tuple[Any, Any]:
    return values[: len(values) // 2], values[len(values) // 2 :]


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(np.array(seconds), [50, 95])
    most = max(seconds)
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "most": round(most, 3)}


def soak(
    minutes: float,
    *,
    context: Any,
    rounds: int = 0,
    people: int = 120,
    checkpoint_s: float = 60.0,
    seed: int = 0,
    folder: Path | None = None,
    say: Say = lambda _: None,
) -> Soaked:
    """Do everything at once to one store, in several processes, and look at what comes of it.

    Args:
        minutes: How long.
        context: What makes processes: `multiprocessing.get_context("spawn")`, or
            `multiprocessing.dummy`, for threads.
        rounds: How many people must be forgotten before it ends.
        people: How many people are there at once.
        checkpoint_s: Seconds between checkpoints.
        seed: Of what people write.
        folder: Where; it must be empty, and stays. None: a folder that is removed.
        say: Is told of each checkpoint.
    """
    with TemporaryDirectory() as made, _copies_in(folder or Path(made)):
        root = folder or Path(made)
        events = {name: context.Event() for name in ("pause", "resume", "stop")}
        site = Site(
            root, people, seed, **events, arrived=context.Semaphore(0), reports=context.Queue()
        )
        for each in (site.trace, site.adapters):
            make_folder(each)
        asyncio.run(_make_store(site))
        return _Run(site, context, say).until(minutes * 60, rounds, checkpoint_s)


@contextmanager
def _copies_in(folder: Path) -> Iterator[None]:
    """Keep the list of copies in a folder, for this process and those that it starts."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder / "copies.jsonl")
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


async def _make_store(site: Site) -> None:
    async with open_store(str(site.store), encoder=ENCODER) as store:
        first = [MadeUpPerson(number) for number in range(2 * len(TENANTS))]
        PeopleList(site.root).note("came", first)
        await store.add(text for person in first for text in person.texts(site.seed))


class _Run:
    """One soak: its processes, and what is known of them."""

    def __init__(self, site: Site, context: Any, say: Say) -> None:
        self._site, self._say, self._found = site, say, Soaked()
        self._people = PeopleList(site.root)
        self._reports: dict[str, WorkReport] = {}
        self._processes = {
            name: context.Process(target=work, args=(site, name), name=name) for name in WORK
        }
        self._texts: int | None = None
        self._unknown = 0

    def until(self, seconds: float, rounds: int, checkpoint_s: float) -> Soaked:
        """Run for some seconds and rounds of forgetting, and return what was found."""
        asyncio.run(self._look())
        for process in self._processes.values():
            process.start()
        try:
            self._run(seconds, rounds, checkpoint_s)
        finally:
            for event in (self._site.stop, self._site.resume):
                event.set()
        self._gather(lambda report: report.ended)
        for process in self._processes.values():
            process.join()
        asyncio.run(self._look())
        self._add_up()
        self._judge(seconds)
        return self._found

    def _run(self, seconds: float, rounds: int, checkpoint_s: float) -> None:
        began = time.monotonic()
        next_look = began + checkpoint_s
        while not self._site.stop.is_set():
            now = time.monotonic()
            self._sample(now - began)
            if now - began >= seconds and len(self._people.read().gone) >= rounds:
                return
            if now >= next_look:
                self._pause()
                next_look = time.monotonic() + checkpoint_s
            time.sleep(min(SAMPLED_EVERY_S, checkpoint_s / 4))

    def _pause(self) -> None:
        self._site.resume.clear()
        self._site.pause.set()
        for _ in self._processes:
            self._site.arrived.acquire()
        self._gather(lambda _: True)
        if not self._site.stop.is_set():
            asyncio.run(self._look())
            self._drop_old_records()
        self._site.pause.clear()
        self._site.resume.set()

    def _gather(self, is_last: Callable[[WorkReport], bool]) -> None:
        """Take in a report of each process: the last one, where it is to be that."""
        waiting = {name for name in self._processes if not self._has_ended(name)}
        while waiting:
            try:
                report: WorkReport = self._site.reports.get(timeout=5)
            except queue.Empty:
                for name in [name for name in waiting if not self._processes[name].is_alive()]:
                    self._found.broken.append(f"{name}: the process died")
                    self._site.stop.set()
                    waiting.remove(name)
                continue
            self._reports[report.name] = report
            if is_last(report) or report.ended:
                waiting.discard(report.name)

    def _has_ended(self, name: str) -> bool:
        return name in self._reports and self._reports[name].ended

    def _counts(self) -> Counter[str]:
        total = Counter[str]()
        for report in self._reports.values():
            total.update(report.counts)
        return total

    async def _look(self) -> None:
        """Look at the store while nobody does anything."""
        site, people, counts = self._site, self._people.read(), self._counts()
        async with TextStore.open_existing(str(site.store)) as store:
            held = await store.stats()
            seen = await audit(store, str(site.store), trace=site.trace)
            if not await adds_up(store.forgetting.tables):
                self._break("users and topics do not count the texts")
        gone = {MadeUpPerson(number).user_id for number in people.gone}
        for each in seen.people:
            number = int(each.user_id.rpartition("-")[2])
            if each.user_id in gone or MadeUpPerson(number).tenant != each.namespace:
                self._break(f"{each.user_id} is held in {each.namespace}")
        self._check_texts(held.texts, counts)
        quiet = [MadeUpPerson(number) for number in people.gone if not MadeUpPerson(number).asks]
        found = site.found([person.user_id for person in quiet])
        forgotten = [
            *(mark for mark, (person, _) in people.marks.items() if person.number in people.gone),
            *(person.user_id for person in quiet),
        ]
        left = sum(found[each] > 0 for each in forgotten)
        if left:
            self._break(f"{left} marks or ids of people who were forgotten are in the bytes")
        control = sum(
            found[MadeUpPerson(int(each.user_id.rpartition("-")[2])).mark(private=False)] > 0
            for each in seen.people
        )
        if control < len(seen.people):
            self._break(f"only {control} of {len(seen.people)} people are found in the bytes")
        told = {
            "people": len(seen.people),
            "people_found": control,
            "texts": held.texts,
            "forgotten": len(people.gone),
            "forgotten_found": left,
            "orphans": len(seen.orphans),
        }
        self._found.checkpoints.append(told)
        self._say(", ".join(f"{name} {value}" for name, value in told.items()))

    def _check_texts(self, held: int, counts: Counter[str]) -> None:
        """Check that what came less what was removed is held."""
        balance = counts["texts in"] - counts["texts out"]
        unknown = sum(counts[each] for each in UNKNOWN)
        if self._texts is not None and unknown == self._unknown and held - balance != self._texts:
            self._break(f"{held} texts are held, expected {balance + self._texts}")
        self._texts, self._unknown = held - balance, unknown

    def _break(self, says: str) -> None:
        self._found.broken.append(f"checkpoint {len(self._found.checkpoints)}: {says}")

    def _drop_old_records(self) -> None:
        for path in self._site.trace.glob("*.jsonl"):
            if time.time() - path.stat().st_mtime > KEPT_RECORDS_S:
                path.unlink()

    def _sample(self, second: float) -> None:
        sizes = []
        for path in self._site.files():
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:  # removed since
                continue
        memory: dict[str, float] = {}
        for name, process in self._processes.items():
            try:
                own = psutil.Process(getattr(process, "pid", None))  # a thread has none
                memory[f"MB of {name}"] = own.memory_info().rss / 1e6
            except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
                continue
        data = {"files": len(sizes), "MB of files": sum(sizes) / 1e6}
        self._found.samples.append({"second": second, **data, **memory})

    def _add_up(self) -> None:
        self._found.counts = self._counts()
        for report in self._reports.values():
            self._found.broken += report.broken
            for name, seconds in report.seconds.items():
                self._found.seconds.setdefault(name, []).extend(seconds)

    def _judge(self, seconds: float) -> None:
        if seconds < JUDGED_FROM_MINUTES * 60:
            return
        for name in self._found._measured():
            grown = self._found.growth(name)
            if grown["last"] > grown["middle"] * (1 + MOST_GROWTH):
                self._found.broken.append(
                    f"{name}: from {grown['middle']} to {grown['last']}, not flat"
                )
