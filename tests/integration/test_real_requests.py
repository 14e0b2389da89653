"""The whole loop on real people with the bundled weights: cold start, evidence, no leak."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from patlm.graph import Personalizer, Result, open_store
from patlm.stores import read_texts, read_traces
from patlm.stores.ingest import ingest

pytestmark = pytest.mark.bundled

FILES = ("gap", "hotel", "amazon", "b2w")
KINDS = ("zero", "few", "known")
FILLERS = 60
"""Other people beside the three, their texts embedded too: an excerpt, for a test's time."""

Person = dict[str, Any]


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("PATLM_DATA")
    if not folder:
        pytest.skip("PATLM_DATA names no folder with the benchmark's files")
    return Path(folder) / "pgraphrag"


@pytest.fixture(scope="module", params=FILES)
def excerpt(request: pytest.FixtureRequest, data: Path) -> Iterator[tuple[str, list[Person]]]:
    """People of one file: one of each kind, those who wrote on their topics, and some others."""
    everybody: list[Person] = json.loads((data / f"{request.param}_dev.json").read_text())
    chosen = [found for kind in KINDS if (found := first_of(everybody, kind)) is not None]
    topics = {str(person["profile"][0]["pid"]) for person in chosen}
    near = [p for p in everybody if p not in chosen and {topic_of(e) for e in entries(p)} & topics]
    others = [person for person in everybody if person not in chosen and person not in near]
    yield request.param, [*chosen, *near[:FILLERS], *others[:FILLERS]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def written(
    excerpt: tuple[str, list[Person]], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[list[Person], list[Result], str]]:
    """Write for one person of each kind, at once; with all that the run was shown."""
    name, people = excerpt
    folder = tmp_path_factory.mktemp(name)
    file = folder / f"{name}_dev.json"
    file.write_text(json.dumps(people))
    async with open_store(str(folder / "store")) as store:
        await ingest(store, read_texts(file))
    asked = [p for kind in KINDS if (p := first_of(people, kind)) is not None]
    requests = [
        {
            "user_id": person["id"],
            "task": "long",
            "topic_id": topic_of(target(person)),
            "title": target(person)["title"],
            "language": "pt" if name == "b2w" else "en",
        }
        for person in asked
    ]
    trace = folder / "trace"
    async with Personalizer(folder / "store", dtype="fp32", trace=trace) as personalizer:
        results = await personalizer.abatch(requests)
    shown = "\n".join(record.model_dump_json() for record in read_traces(trace))
    yield asked, results, plain(shown)


@pytest.mark.asyncio(loop_scope="module")
async def test_each_kind_of_person_gets_a_text(
    written: tuple[list[Person], list[Result], str],
) -> None:
    people, results, _ = written
    assert len(people) >= 2
    for person, result in zip(people, results, strict=True):
        assert result.text
        assert result.cold_start == kind_of(person)
        assert result.iterations >= 2 or result.stop_reason in ("settled", "abstained")


@pytest.mark.asyncio(loop_scope="module")
async def test_evidence_is_other_peoples(written: tuple[list[Person], list[Result], str]) -> None:
    people, results, _ = written
    for person, result in zip(people, results, strict=True):
        style, preference = result.evidence["style"], result.evidence["preference"]
        assert style and preference
        assert all(piece.user_id != person["id"] for piece in [*style, *preference])
        assert all(piece.topic_id != topic_of(target(person)) for piece in style)
        assert all(piece.user_id == person["id"] for piece in result.own)


@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_is_shown_the_target(written: tuple[list[Person], list[Result], str]) -> None:
    people, _, shown = written
    for person in people:
        body = plain(json.dumps(target(person)["text"], ensure_ascii=False)[1:-1])
        assert len(body.split()) >= 8, "too short a text would stand anywhere"
        assert body not in shown


def target(person: Person) -> Person:
    entry: Person = person["profile"][0]
    return entry


def entries(person: Person) -> list[Person]:
    found: list[Person] = person["profile"]
    return found


def topic_of(entry: Person) -> str:
    return str(entry["pid"])


def plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def kind_of(person: Person) -> str:
    """Count own history by hand: not the target, not on its topic, not the same text twice."""
    mine = target(person)
    own = {
        plain(entry["text"])
        for entry in entries(person)[1:]
        if topic_of(entry) != topic_of(mine) and plain(entry["text"]) != plain(mine["text"])
    }
    return "zero" if not own else "few" if len(own) <= 3 else "known"


def first_of(people: list[Person], kind: str) -> Person | None:
    """Return the first person of a kind whose target is long enough to be looked for."""
    for person in people:
        alone = kind != "zero" or len(entries(person)) == 1
        if kind_of(person) == kind and alone and len(target(person)["text"].split()) >= 12:
            return person
    return None
