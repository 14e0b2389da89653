"""The batcher: gathering, limits, and faults that stay where they belong."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from patlm.models.errors import GenerationFailed, ModelBusy, ModelClosed, WorkerDied
from patlm.models.local.batcher import Batcher, BatchLimits, Load, next_batch
from patlm.models.local.rows import Row
from patlm.models.local.sampling import Sampling
from processes import HANG_SECONDS
from raising import raises

END = 0


def make_row(prompt: int = 3, max_tokens: int = 5) -> Row:
    return Row(
        [1] * prompt,
        Sampling(max_tokens=max_tokens),
        decode=lambda ids: "x" * len(ids),
        end_ids=frozenset({END}),
    )


class Engine:
    """Writes each row in one go: a token and the end; remembers who came together.

    Args:
        steps: Tokens that a row runs for before its end; others may join in between.
    """

    admits = True

    def __init__(self, steps: int = 0) -> None:
        self.steps = steps
        self.capture_seconds = 0.0
        self.batches: list[list[Row]] = []
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.gate.set()
        self._running: list[Row] = []

    @property
    def rows(self) -> list[Row]:
        return [row for row in self._running if not row.done]

    @property
    def load(self) -> Load:
        load = Load()
        for row in self.rows:
            load = load.with_row(row)
        return load

    def admit(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        self.batches.append(list(rows))
        self.entered.set()
        assert self.gate.wait(HANG_SECONDS)
        self._running = [*self.rows, *(row for row in rows if row.start())]

    def write(self, enough: Callable[[int], bool]) -> None:
        self.capture_seconds += 0.25
        tokens = 0
        while self.rows and not (tokens and enough(tokens)):
            tokens += 1
            for row in self.rows:
                row.push(7 if row.drawn <= self.steps else END)

    def clear(self) -> None:
        self._running = []


@contextmanager
def batcher(engine: Engine, **limits: float) -> Iterator[Batcher]:
    made = Batcher(engine, BatchLimits(**limits))  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


@contextmanager
def queued(calls: Sequence[Row], **limits: float) -> Iterator[Engine]:
    """Submit rows while a first one holds the worker, then let all run."""
    run = Engine()
    with batcher(run, **limits) as made:
        run.gate.clear()
        made.submit(make_row())
        assert run.entered.wait(HANG_SECONDS)
        for row in calls:
            made.submit(row)
        run.gate.set()
        for row in calls:
            row.future.result(timeout=HANG_SECONDS)
        yield run


def test_calls_that_wait_are_one_batch() -> None:
    rows = [make_row() for _ in range(10)]
    with queued(rows) as run:
        assert run.batches[1:] == [rows]


def test_batches_keep_the_row_limit_and_the_order() -> None:
    rows = [make_row() for _ in range(5)]
    with queued(rows, rows=2) as run:
        assert run.batches[1:] == [rows[:2], rows[2:4], rows[4:]]


def test_batches_keep_the_token_limit_padding_included() -> None:
    # Two rows padded to the longer: 2 x (10 + 5) = 30 fit; a third would make 45.
    rows = [make_row(prompt=10), make_row(prompt=2), make_row(prompt=2), make_row(prompt=99)]
    with queued(rows, tokens=30) as run:
        # The last one is over the limit by itself and runs alone.
        assert run.batches[1:] == [rows[:2], rows[2:3], rows[3:]]


def test_like_rows_share_a_batch_and_the_longest_waiting_is_always_in() -> None:
    # Distances to the first row (30 read, 5 new): 7 x 95 = 665, 2, 270, 0 tokens.
    first, long_answer, like, long_prompt, same = (
        make_row(prompt, new) for prompt, new in ((30, 5), (30, 100), (32, 5), (300, 5), (30, 5))
    )
    waiting = [first, long_answer, like, long_prompt, same]
    assert next_batch(waiting, BatchLimits(rows=3)) == [first, same, like]
    assert next_batch([long_answer, long_prompt], BatchLimits(rows=1)) == [long_answer]


class Unlucky(Engine):
    """Fails where it reads or writes prompts of 13 tokens."""

    def __init__(self, fault: BaseException, *, reads: bool = False, steps: int = 0) -> None:
        super().__init__(steps)
        self.fault, self.reads = fault, reads

    def admit(self, rows: Sequence[Row]) -> None:
        if self.reads:
            self._look(rows)
        super().admit(rows)

    def write(self, enough: Callable[[int], bool]) -> None:
        self._look(self.rows)
        super().write(enough)

    def _look(self, rows: Sequence[Row]) -> None:
        if any(len(row.prompt_ids) == 13 for row in rows):
            raise self.fault


@pytest.mark.parametrize("reads", [True, False])
def test_a_batch_that_raises_fails_its_rows_and_no_others(reads: bool) -> None:
    with batcher(Unlucky(RuntimeError("out of memory"), reads=reads), rows=1) as made:
        unlucky, fine = make_row(prompt=13), make_row()
        made.submit(unlucky)
        made.submit(fine)
        with raises(GenerationFailed, "generation_failed", "out of memory"):
            unlucky.future.result(timeout=HANG_SECONDS)
        assert fine.future.result(timeout=HANG_SECONDS).text == "x"


def test_a_worker_that_dies_fails_all_that_wait_and_is_replaced() -> None:
    engine = Unlucky(SystemExit("killed"))
    with batcher(engine, rows=1) as made:
        engine.gate.clear()
        unlucky, waiting = make_row(prompt=13), make_row()
        made.submit(unlucky)
        assert engine.entered.wait(HANG_SECONDS)
        made.submit(waiting)
        worker = next(t for t in threading.enumerate() if t.name == "patlm-generate")
        engine.gate.set()
        for row in (unlucky, waiting):
            with raises(WorkerDied, "worker_died", "killed"):
                row.future.result(timeout=HANG_SECONDS)
        worker.join(HANG_SECONDS)
        assert not worker.is_alive()
        again = make_row()
        made.submit(again)
        assert again.future.result(timeout=HANG_SECONDS).text == "x"


@contextmanager
def joining(engine: Engine, runs: Row, joins: Row, **limits: float) -> Iterator[None]:
    """Submit one row, and another one while the first is being read."""
    with batcher(engine, **limits) as made:
        engine.gate.clear()
        made.submit(runs)
        assert engine.entered.wait(HANG_SECONDS)
        made.submit(joins)
        engine.gate.set()
        for row in (runs, joins):
            row.future.result(timeout=HANG_SECONDS)
        yield


def test_a_call_joins_those_that_run_after_a_few_tokens() -> None:
    runs, joins = make_row(max_tokens=40), make_row(max_tokens=1)
    engine = Engine(steps=50)
    with joining(engine, runs, joins, steps=4):
        assert engine.batches == [[runs], [joins]]
    assert runs.times.started < joins.times.started
    assert joins.times.ended < runs.times.ended


@pytest.mark.parametrize(
    ("limits", "admits"), [({"rows": 1}, True), ({"tokens": 60}, True), ({}, False)]
)
def test_a_call_that_may_not_join_runs_afterwards(limits: dict[str, int], admits: bool) -> None:
    # Two rows of 3 read and 40 new tokens take 86.
    runs, waits = make_row(max_tokens=40), make_row(max_tokens=40)
    engine = Engine(steps=50)
    engine.admits = admits
    with joining(engine, runs, waits, **limits):
        assert runs.times.ended <= waits.times.started


def test_a_large_call_is_not_passed_by_for_small_ones() -> None:
    large, small = make_row(prompt=90), make_row(prompt=2)
    running = Load(rows=1, read=10, new=5)
    limits = BatchLimits(tokens=60)
    assert next_batch([large, small], limits, running) == []
    assert next_batch([small, large], limits, running) == [small]
    assert next_batch([large, small], limits) == [large]


def test_a_full_queue_refuses() -> None:
    run = Engine()
    with batcher(run, waiting=1, rows=1) as made:
        run.gate.clear()
        rows = [make_row(), make_row()]
        made.submit(rows[0])
        assert run.entered.wait(HANG_SECONDS)
        made.submit(rows[1])
        with raises(ModelBusy, "queue_full", "1 calls", "limit is 1"):
            made.submit(make_row())
        run.gate.set()
        for row in rows:
            row.future.result(timeout=HANG_SECONDS)


def test_close_answers_everybody() -> None:
    run = Engine()
    made = Batcher(run, BatchLimits(rows=1))
    run.gate.clear()
    running, waiting = make_row(), make_row()
    made.submit(running)
    assert run.entered.wait(HANG_SECONDS)
    made.submit(waiting)
    closer = threading.Thread(target=made.close)
    closer.start()
    for row in (running, waiting):
        with pytest.raises(ModelClosed):
            row.future.result(timeout=HANG_SECONDS)
    run.gate.set()
    closer.join(HANG_SECONDS)
    assert not closer.is_alive()
    with raises(ModelClosed, "model_closed"):
        made.submit(make_row())
