"""`patlm bench soak`: everything at once to one store, and what it sees if something leaks."""

import multiprocessing
import multiprocessing.dummy
import threading
import time
from pathlib import Path

import pytest
from patlm.bench.soak.run import soak
from patlm.bench.soak.site import MadeUpPerson, PeopleList

SPAWN = multiprocessing.get_context("spawn")
DONE = ("request", "feedback with a text", "ingest", "forget", "compaction", "adapter promoted")


def test_who_comes_back_is_seen_and_nothing_else_breaks(tmp_path: Path) -> None:
    over = threading.Event()
    leaked: list[MadeUpPerson] = []

    def leak() -> None:
        people = PeopleList(tmp_path)
        while not over.is_set() and not people.read().gone:
            time.sleep(0.01)
        leaked.extend(MadeUpPerson(number) for number in sorted(people.gone)[:1])
        marks = [person.mark(private=True) for person in leaked]
        (tmp_path / "data" / "trace" / "leak.txt").write_text("".join(marks))

    thread = threading.Thread(target=leak)
    thread.start()
    found = soak(0, rounds=1, context=multiprocessing.dummy, people=10, folder=tmp_path)
    over.set()
    thread.join()
    assert found.counts["request"] and found.counts["ingest"]
    assert found.checkpoints[-1]["people_found"] == found.checkpoints[-1]["people"]
    # The search after the receipt may run before the leak or after it; the checkpoint comes last.
    at_once = [f"{person.user_id}: in bytes after the receipt" for person in leaked]
    assert [told for told in found.broken if told not in at_once] == [
        "checkpoint 1: 1 marks or ids of people who were forgotten are in the bytes"
    ]


@pytest.mark.slow
def test_nothing_breaks_in_processes_of_their_own() -> None:
    found = soak(1, rounds=40, context=SPAWN, people=40, checkpoint_s=15)
    told = found.as_dict()
    assert told["broken"] == [] and told["bytes_found"] == 0
    assert all(found.counts[each] for each in DONE), found.counts
    # Else nobody would have been seen that must not be.
    assert found.counts["marks of texts in answers"]
    assert all(each["people_found"] == each["people"] for each in found.checkpoints)
    assert len(found.checkpoints) >= 3 and found.checkpoints[-1]["forgotten"] >= 40
