"""The whole loop on real people with the bundled weights: cold start, evidence, no leak."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from patlm.graph import Personalizer, Result, open_store
from patlm.stores import read_episodes, read_texts
from patlm.stores.datasets.ingest import ingest

pytestmark = [pytest.mark.bundled, pytest.mark.slow]

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


def excerpt(people: list[Person]) -> list[Person]:
    """Return one person of each kind, those who wrote on their topics, and some others."""
    chosen = [found for kind in KINDS if (found := first_of(people, kind)) is not None]
    topics = {topic_of(target(person)) for person in chosen}
    near = [p for p in people if p not in chosen and {topic_of(e) for e in entries(p)} & topics]
    others = [person for person in people if person not in chosen and person not in near]
    return [*chosen, *near[:FILLERS], *others[:FILLERS]]


@dataclass(frozen=True)
class Case:
    """One request, what came of it, and all that its run was shown."""

    file: str
    person: Person
    result: Result
    shown: str


@pytest.fixture(scope="module")
def cases(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Write for one person of each kind and file, those of a file at once; a file is a tenant."""
    return asyncio.run(write_all(data, tmp_path_factory.mktemp("real")))


async def write_all(data: Path, folder: Path) -> list[Case]:
    asked: list[tuple[str, Person]] = []
    async with open_store(str(folder / "store")) as store:
        for name in FILES:
            people = excerpt(json.loads((data / f"{name}_dev.json").read_text()))
            file = folder / f"{name}_dev.json"
            file.write_text(json.dumps(people))
            await ingest(store, read_texts(file, namespace=name))
            found = [first_of(people, kind) for kind in KINDS]
            asked += [(name, person) for person in found if person is not None]
    results = []
    for name in FILES:
        given = {"dtype": "fp32", "trace": folder / "trace", "namespace": name}
        async with Personalizer(folder / "store", **given) as personalizer:
            here = [person for file, person in asked if file == name]
            results += await asyncio.gather(*(ask(personalizer, name, each) for each in here))
    shown = {
        (record.namespace, record.request["user_id"]): plain(record.model_dump_json())
        for record in read_episodes(folder / "trace")
    }
    return [
        Case(name, person, result, shown[name, person["id"]])
        for (name, person), result in zip(asked, results, strict=True)
    ]


async def ask(personalizer: Personalizer, name: str, person: Person) -> Result:
    return await personalizer.awrite(
        person["id"],
        topic_id=topic_of(target(person)),
        title=target(person)["title"],
        language="pt" if name == "b2w" else "en",
        deadline_s=1800,
    )


def test_each_kind_of_person_gets_a_text(cases: list[Case]) -> None:
    for case in cases:
        assert case.result.text
        assert case.result.cold_start == kind_of(case.person)
        settled = case.result.stop_reason in ("settled", "abstained")
        assert case.result.iterations >= 2 or settled


def test_evidence_is_other_peoples(cases: list[Case]) -> None:
    for case in cases:
        style, preference = case.result.evidence["style"], case.result.evidence["preference"]
        assert style and preference
        assert all(piece.user_id != case.person["id"] for piece in [*style, *preference])
        assert all(piece.topic_id != topic_of(target(case.person)) for piece in style)
        assert all(piece.user_id == case.person["id"] for piece in case.result.own)


def test_nobody_is_shown_the_target(cases: list[Case]) -> None:
    for case in cases:
        body = plain(json.dumps(target(case.person)["text"], ensure_ascii=False)[1:-1])
        assert body not in case.shown


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
