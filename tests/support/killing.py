"""Kill processes at random moments of what they do, and say whether what is left is whole.

Each kind of work goes on for ever in a process of its own, which notes in a file what it was told
is done; it is killed after a random time. Then `Kind.check` looks at what is left, as the next
process would find it, and the next kill goes on with that.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_fixtures import manifest
from patlm.bench.soak.workers import make_adapter
from patlm.graph.forget import Places, finish_removals, forget_user
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.copies.ledger import VARIABLE, note_copy
from patlm.stores.datasets.ingest import ingest
from patlm.stores.datasets.splits import load_splits
from patlm.stores.texts.repair import adds_up
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Text
from processes import HANG_SECONDS
from store_fixtures import style_encoder, topic_encoder

PEOPLE = 12
"""Who is in a store from the beginning, and must stay."""

ROWS = 10
"""Texts of one ingest."""


def note(root: Path, line: object) -> None:
    """Note that something is done."""
    with (root / "done").open("a", buffering=1) as file:
        file.write(f"{line}\n")


def noted(root: Path) -> list[str]:
    """Return what was noted as done."""
    path = root / "done"
    return path.read_text().splitlines() if path.exists() else []


@asynccontextmanager
async def store_of(root: Path) -> AsyncIterator[TextStore]:
    """Open the store that is worked on."""
    encoders = {"style_encoder": style_encoder(), "topic_encoder": topic_encoder()}
    async with TextStore.open(str(root / "store"), **encoders) as store:
        yield store


def begin(root: Path) -> None:
    """Say that the work begins: from here on, the process may be killed."""
    (root / "begun").touch()


def texts_of(user: str, count: int = 4) -> Iterator[Text]:
    """Yield texts that nobody else has: their words are made of the author's name."""
    for number in range(count):
        mark = f"{user.replace('-', '')}{'abcdefgh'[number]}"
        yield Text(user, f"{mark}ly {mark}ing {mark}ness of {mark}s.", f"t{number % 3}")


async def _nothing(root: Path) -> None:
    """Need nothing."""


async def _fill(root: Path) -> None:
    async with store_of(root) as store:
        await store.add(text for n in range(PEOPLE) for text in texts_of(f"stays-{n}"))


async def _check_store(store: TextStore) -> None:
    assert await adds_up(store.forgetting.tables), "users and topics do not count the texts"
    for number in range(PEOPLE):
        held = {text.body for text in await store.texts_of("default", f"stays-{number}")}
        assert held == {text.body for text in texts_of(f"stays-{number}")}, f"of stays-{number}"


async def _fill_with_records(root: Path) -> None:
    await _fill(root)
    (root / "trace").mkdir()
    note_copy("traces", root / "trace", of=root / "store")


def _rows(number: int) -> list[Text]:
    names = (f"came-{number}-{at % 3}" for at in range(ROWS))
    return [
        Text(name, f"Text {at} of ingest {number}.", f"t{at % 3}", target=at == 0)
        for at, name in enumerate(names)
    ]


async def _ingest(root: Path, numbers: Iterator[int]) -> None:
    async with store_of(root) as store:
        begin(root)
        for number in numbers:
            await ingest(store, iter(_rows(number)), splits_file=root / "store" / "splits.json")
            note(root, number)


async def _ingest_on(root: Path) -> None:
    await _ingest(root, itertools.count(len(noted(root))))


async def _check_ingest(root: Path) -> None:
    done = len(noted(root))
    # The one that was cut off is given again, as people do.
    await _ingest(root, iter([done]))
    async with store_of(root) as store:
        await _check_store(store)
        for number in range(max(0, done - 20), done + 1):
            rows = Counter(row.body for row in _rows(number))
            held = Counter[str]()
            for user in {row.user_id for row in _rows(number)}:
                held.update(text.body for text in await store.texts_of("default", user))
            assert held == rows, f"of ingest {number}"
        assert (await store.stats()).texts == PEOPLE * 4 + (done + 1) * ROWS
    assert load_splits(root / "store" / "splits.json", "default").users


async def _remake(root: Path) -> None:
    async with store_of(root) as store:
        begin(root)
        for number in itertools.count():
            tables = store.forgetting.tables
            await store.add([Text("grows", f"Another {time.time_ns()}.", f"t{number % 3}")])
            async with tables.writing():
                for name in ("texts", "users", "topics"):
                    await tables.remake_indexes(name)


async def _compact(root: Path) -> None:
    async with store_of(root) as store:
        begin(root)
        for number in itertools.count():
            await store.add([Text("grows", f"Another {time.time_ns()}.", f"t{number % 3}")])
            await store.compact(threshold=0)


INDEXES = {"texts.user_id_idx", "texts.stamp_idx", "users.user_id_idx"}


async def _check_indexes(root: Path) -> None:
    async with store_of(root) as store:
        await _check_store(store)
        assert set((await store.stats()).indexes) >= INDEXES
        assert (await store.compact(threshold=0)).compacted
        await _check_store(store)


async def _forget(root: Path) -> None:
    async with store_of(root) as store:
        begin(root)
        places = Places(uri=str(root / "store"), trace=root / "trace")
        for number in itertools.count(len(noted(root))):
            user = f"goes-{number}"
            await store.add(texts_of(user))
            (root / "trace" / f"traces-{number}.jsonl").write_text(_record(user))
            (root / "going").write_text(user)
            await forget_user(store, "default", user, places)
            note(root, user)


def _record(user: str) -> str:
    (text, *_) = texts_of(user)
    piece = f'{{"text_id": "{text.text_id}", "user_id": "{user}", "body": "{text.body}"}}'
    return (
        f'{{"version": 2, "run_id": "{user}", "namespace": "default", '
        f'"request": {{"user_id": "stays-0"}}, "own": [], "evidence": [{piece}]}}\n'
    )


async def _check_forgotten(root: Path) -> None:
    gone = set(noted(root))
    cut_off = (root / "going").read_text() if (root / "going").exists() else ""
    async with store_of(root) as store:
        unfinished = bool((await store.forgotten()).unfinished)
        await finish_removals(store, str(root / "store"))
        held = {text.body for text in await store.texts_of("default", cut_off)} if cut_off else ()
        if unfinished:  # it had been noted, so it is finished by whoever comes next
            assert not held, f"{cut_off} is held after the removal was finished"
        else:  # the same command again
            places = Places(uri=str(root / "store"), trace=root / "trace")
            await forget_user(store, "default", cut_off or "nobody", places)
        await _check_store(store)
    marks = {user: f"{user.replace('-', '')}aly".encode() for user in {*gone, cut_off} - {""}}
    for path in (*root.joinpath("store").rglob("*"), *root.joinpath("trace").glob("*")):
        data = path.read_bytes() if path.is_file() else b""
        assert not [user for user, mark in marks.items() if mark in data], path


async def _promote(root: Path) -> None:
    registry, draw = AdapterRegistry(root / "adapters"), random.Random(time.time_ns())
    made = make_adapter(root / "made")
    registry.add(made, manifest(f"style@{registry.next_step('style')}"))
    begin(root)
    while True:
        registry.add(made, manifest(f"style@{registry.next_step('style')}"))
        for _ in range(3):
            name = draw.choice(registry.adapters()).name
            registry.promote(name)
            note(root, name)
        if draw.random() < 0.5:
            registry.rollback("style")
            note(root, registry.promoted().get("style", "none"))
        registry.prune(3)


async def _check_promoted(root: Path) -> None:
    registry = AdapterRegistry(root / "adapters")
    promoted = registry.promoted()
    assert promoted or not noted(root), "nothing is promoted"
    for name in {*promoted.values(), *(each.name for each in registry.adapters())}:
        assert registry.get(name).name == name
    registry.add(root / "made", manifest(f"style@{registry.next_step('style')}"))
    hidden = [each.name for each in registry.root.iterdir() if each.name.startswith(".")]
    assert hidden == [".adapters.lock"], hidden


def _targets_and_parts(slow_s: float) -> tuple[Any, Any]:
    from collecting import drawing_model, parts_with, some_targets

    return some_targets(6), parts_with(drawing_model(slow_s=slow_s))


async def _collect(root: Path, slow_s: float = 0.02) -> None:
    from collecting import SOURCE
    from patlm.training.collect.collector import Collector
    from patlm.training.collect.plan import CollectPlan
    from patlm.training.collect.run import gather_episodes

    targets, parts = _targets_and_parts(slow_s)
    begin(root)
    while True:
        plan = CollectPlan(candidates=2)
        await gather_episodes(Collector(parts, plan, SOURCE), targets, root / "episodes")
        if not slow_s:
            return
        shutil.rmtree(root / "episodes")


async def _check_collected(root: Path) -> None:
    from collecting import episodes, timeless

    begun = (root / "episodes").exists()
    before = [timeless(each) for each in episodes(root / "episodes")] if begun else []
    await _collect(root, slow_s=0.0)
    found = [timeless(each) for each in episodes(root / "episodes")]
    if not (root / "whole").exists():
        (root / "whole").mkdir()
        shutil.move(root / "episodes", root / "kept")
        await _collect(root, slow_s=0.0)
        shutil.move(root / "episodes", root / "whole" / "episodes")
        shutil.move(root / "kept", root / "episodes")
    whole = [timeless(each) for each in episodes(root / "whole" / "episodes")]
    assert found == whole, "it does not end as an unbroken one"
    assert all(each in whole for each in before), "what was kept before is another"
    shutil.rmtree(root / "episodes")


def _training(root: Path, out: str) -> Any:
    from planted_episodes import planted_episodes, run_config

    # Each run has a fresh folder and registry; base model and episodes stay.
    places = {"out": root / out, "adapters": root / f"{out}-adapters"}
    return run_config(root, planted_episodes(8), save_every=1, batch=1, accumulation=1, **places)


async def _prepare_training(root: Path) -> None:
    await asyncio.to_thread(_train_once, root, "whole")


def _train_once(root: Path, out: str) -> Any:
    from unittest.mock import patch

    from patlm.training.trainer import run_folder
    from patlm.training.trainer.train import train

    with patch.object(run_folder, "_draw"):  # half the time of a small run
        return train(_training(root, out))


async def _train(root: Path) -> None:
    begin(root)
    for number in itertools.count(len(noted(root))):
        await asyncio.to_thread(_train_once, root, f"run{number}")
        note(root, number)


async def _check_trained(root: Path) -> None:
    from planted_episodes import curve

    number = len(noted(root))
    await asyncio.to_thread(_train_once, root, f"run{number}")  # it goes on, or begins
    note(root, number)
    whole, found = root / "whole", root / f"run{number}"
    assert curve(found) == curve(whole), "it does not end as an unbroken one"
    (adapter,) = AdapterRegistry(root / f"run{number}-adapters").adapters()
    AdapterRegistry(root / f"run{number}-adapters").get(adapter.name)
    (same,) = AdapterRegistry(root / "whole-adapters").adapters()
    assert adapter.manifest.files == same.manifest.files, "other weights"
    for each in (found, root / f"run{number}-adapters"):
        shutil.rmtree(each)


Step = Callable[[Path], Awaitable[None]]


@dataclass(frozen=True)
class Kind:
    """A kind of work that is killed.

    Attributes:
        prepare: Makes what the work needs.
        work: Goes on for ever.
        check: Raises AssertionError, or whatever the next process would, if something is lost.
        longest_s: It is killed so many seconds after it began, at most.
    """

    prepare: Step
    work: Step
    check: Step
    longest_s: float


KINDS = {
    "ingest": Kind(_fill, _ingest_on, _check_ingest, 1.0),
    "index": Kind(_fill, _remake, _check_indexes, 1.0),
    "compaction": Kind(_fill, _compact, _check_indexes, 1.0),
    "forget": Kind(_fill_with_records, _forget, _check_forgotten, 2.0),
    "promotion": Kind(_nothing, _promote, _check_promoted, 0.5),
    "collection": Kind(_nothing, _collect, _check_collected, 0.8),
    "training": Kind(_prepare_training, _train, _check_trained, 8.0),
}
"""Everything that may be killed."""

# Processes are forks of one that has imported all, and opened nothing.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def _work(kind: str, root: Path, copies: str) -> None:
    os.environ[VARIABLE] = copies  # the process that this is a fork of may have another
    asyncio.run(KINDS[kind].work(root))


def kill(kind: str, root: Path, times: int, seed: int) -> tuple[int, list[str]]:
    """Kill one kind of work again and again; return how often it survived, and what was lost.

    Each time that something is lost, all begins anew in another folder.

    Args:
        kind: An entry of `KINDS`.
        root: An empty folder.
        times: How often.
        seed: Of the moments.
    """
    draw, lost, base = random.Random(f"{kind}/{seed}"), list[str](), root
    root = _fresh(kind, base, 0)
    for number in range(times):
        begun = root / "begun"
        begun.unlink(missing_ok=True)
        worker = CONTEXT.Process(target=_work, args=(kind, root, os.environ[VARIABLE]))
        worker.start()
        until = time.monotonic() + HANG_SECONDS
        while not begun.exists():
            assert worker.is_alive() and time.monotonic() < until, f"{kind} did not begin"
            time.sleep(0.002)
        time.sleep(draw.uniform(0, KINDS[kind].longest_s))
        worker.kill()
        worker.join()
        assert worker.exitcode == -signal.SIGKILL, f"{kind} ended by itself: {worker.exitcode}"
        try:
            asyncio.run(KINDS[kind].check(root))
        # Whatever the next process would meet.
        except Exception as error:  # noqa: BLE001
            lost.append(f"{kind}, kill {number}: {type(error).__name__}: {error}")
            root = _fresh(kind, base, number + 1)
    return times - len(lost), lost


def _fresh(kind: str, base: Path, number: int) -> Path:
    root = base / f"from-{number}"
    root.mkdir()
    asyncio.run(KINDS[kind].prepare(root))
    return root
