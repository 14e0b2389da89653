"""Random histories of several tenants on one store: nothing of one is ever seen by another.

Everything that somebody writes bears a mark of its own, user ids and topics of one tenant
included; the model repeats each mark that it reads. So whatever a call returns, streams, raises or
records says by itself whose words are in it. Tenants share ids of people, of topics, of texts in
their source, and of threads.

`python histories.py COUNT SEED` prints what was counted, as JSON; ends with 1 at a crossing.
"""

import asyncio
import json
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from patlm.bench.fake_model import FakeModel
from patlm.bench.soak.site import MARK
from patlm.bench.soak.workers import repeat_marks
from patlm.graph import Personalizer, build_graph
from patlm.graph import open as opening
from patlm.nodes.errors import LoopError, RequestError
from patlm.nodes.state import Result, RunContext
from patlm.stores.copies.ledger import VARIABLE
from patlm.stores.errors import CodedError
from store_fixtures import cheap_encoders

STEPS = 12
"""Steps of a history; each does up to three things at once."""

WORDS = (
    "lamp kettle garden morning window train bread winter paper quiet heavy cheap bright narrow "
    "sour warm broken plain bought returned carried painted washed yesterday twice slowly rain"
).split()
TEXT_ID = re.compile(r"\b[0-9a-f]{20}\b")
MODES = ["values", "updates", "messages", "tasks", "custom"]

Person = tuple[str, str]
"""A namespace and an id in it."""


@dataclass
class Owned:
    """Whose a mark or an id of a text is, and who may see it.

    Attributes:
        person: Its author; an empty id: anybody of the namespace may see it.
        shared: Whether it was ever shared.
        private_at, gone_at: The time since which others, or anybody, may not see it.
    """

    person: Person
    shared: bool = False
    private_at: int | None = None
    gone_at: int | None = None

    def fault(self, reader: Person, began: int) -> str:
        """Say what is wrong if somebody sees it in what began at a time; "" if nothing."""
        if self.person[0] != reader[0]:
            return "of another namespace"
        if self.gone_at is not None and self.gone_at <= began:
            return "forgotten"
        is_own = self.person[1] in ("", reader[1])
        late = self.private_at is not None and self.private_at <= began
        return "" if is_own or (self.shared and not late) else "another person's private text"


@dataclass
class Held:
    """A text that is in the store: what it is added by, its mark, and one in its title."""

    row: dict[str, Any]
    mark: str
    titled: str = ""


@dataclass
class History:
    """One history: what everybody owns, and what was counted.

    Attributes:
        seen: Counts of what was done, came of it, and was looked at.
        crossings: What was seen where it may not be.
    """

    folder: Path
    rng: random.Random
    seen: Counter[str] = field(default_factory=Counter)
    crossings: list[str] = field(default_factory=list)
    owned: dict[str, Owned] = field(default_factory=dict)
    held: dict[Person, dict[str, Held]] = field(default_factory=dict)
    runs: dict[str, Person] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    clock: int = 0

    def mark(self, namespace: str, user: str, *, shared: bool = False) -> str:
        """Return a new mark of somebody."""
        letters = self.rng.randbytes(11).hex().translate(str.maketrans("0123456789", "ghijklmnop"))
        made = f"zq{letters}"
        self.owned[made] = Owned((namespace, user), shared)
        return made

    def words(self, mark: str) -> str:
        """Return a sentence with a mark."""
        return " ".join([*self.rng.sample(WORDS, 6), mark, *self.rng.sample(WORDS, 3)])

    def look(self, what: str, reader: Person, said: object, began: int) -> None:
        """Check everything that somebody is shown."""
        shown = said if isinstance(said, str) else repr(said)
        named = {each.decode() for each in MARK.findall(shown.encode())}
        named |= set(TEXT_ID.findall(shown)) & self.owned.keys()
        self.seen["marks and ids looked at"] += len(named)
        for each in named:
            if wrong := self.owned[each].fault(reader, began):
                self.crossings.append(f"{what} of {reader} shows {each}, {wrong}")

    def ran(self, run: str, person: Person, asked: Mapping[str, Any]) -> None:
        """Remember whose a run was, and the mark in its title."""
        self.runs[run], self.titles[run] = person, str(asked["title"]).split()[-1]

    def ended(self) -> int:
        """Return the time after something has ended."""
        self.clock += 1
        return self.clock


class Tenants:
    """The personalizers of a history's tenants, and all that is done with them."""

    def __init__(self, history: History, exits: AsyncExitStack) -> None:
        self._of, self._exits, self._rng = history, exits, history.rng
        self._apps: dict[str, list[Personalizer]] = {}
        self._people: dict[str, list[str]] = {}
        self._topics: dict[str, list[str]] = {}
        self._saver = InMemorySaver()

    async def open(self) -> None:
        """Open two or three tenants, one of them twice, all on one store and one trace."""
        names = ["left", "right", "default"][: self._rng.choice((2, 2, 3))]
        for name in names:
            await self._opened(name)
            own = [f"{kind}-{self._of.mark(name, '')}" for kind in ("only", "topic")]
            self._people[name], self._topics[name] = ["ana", "bo", own[0]], ["sea", own[1]]
        await self._opened(names[0])
        for name in names:
            people = [(name, user) for user in self._people[name]]
            await self._put([self._new(each, at) for at in ("s-0", "s-1") for each in people])

    async def _opened(self, namespace: str) -> None:
        app = Personalizer(
            self._of.folder / "store",
            model=FakeModel(answer=repeat_marks),
            trace=self._of.folder / "trace",
            namespace=namespace,
            share=self._rng.random() < 0.5,
            copied_words=0,  # what is read shall be seen in what is written
            min_authors=1,
        )
        await self._exits.enter_async_context(app)
        self._apps.setdefault(namespace, []).append(app)

    def _app(self, namespace: str) -> Personalizer:
        return self._rng.choice(self._apps[namespace])

    def _asked(self, person: Person) -> dict[str, Any]:
        title = f"{self._rng.choice(WORDS)} {self._of.mark(*person)}"
        topic = self._rng.choice(self._topics[person[0]])
        return {"user_id": person[1], "title": title, "topic_id": topic}

    async def step(self) -> None:
        """Do one to three things at once; no two change what one person has."""
        doing: list[Awaitable[None]] = []
        changed: set[Person] = set()
        kinds = self._rng.choices(list(STEP_WEIGHTS), list(STEP_WEIGHTS.values()), k=3)
        for kind in dict.fromkeys(kinds[: self._rng.randint(1, 3)]):
            namespace = self._rng.choice(list(self._apps))
            person = namespace, self._rng.choice(self._people[namespace])
            if kind not in ONLY_READING and person in changed:
                continue
            changed.add(person)
            doing.append(self._try(kind, partial(getattr(self, kind), person)))
        await asyncio.gather(*doing)

    async def _try(self, kind: str, act: Callable[[], Awaitable[None]]) -> None:
        self._of.seen[kind] += 1
        try:
            await act()
        except (CodedError, LoopError) as error:
            self._of.seen[f"{kind}: {error.code}"] += 1

    # What people do.

    async def write(self, person: Person) -> None:
        """Write a draft, or several at once, or stream one."""
        app, began, how = self._app(person[0]), self._of.clock, self._rng.random()
        asked, more = self._asked(person), {"max_iterations": self._rng.randint(1, 2), "k": 8}
        self._of.seen["requests"] += 1
        if how < 0.5:
            results: list[Any] = [await app.awrite(**asked, **more)]
        elif how < 0.75:
            events = [event async for event in app.astream(**asked, **more)]
            self._of.look("a stream", person, events, began)
            results = [each for each in events if isinstance(each, Result)]
        else:
            other = person[0], self._rng.choice(self._people[person[0]])
            self._of.seen["requests"] += 1
            beside = self._asked(other)
            results = await app.abatch([asked, beside], **more)
            self._of.look("a batch", other, results[1].model_dump_json(), began)
            self._of.ran(results[1].run_id, other, beside)
        for result in results[:1]:
            self._of.look("a result", person, result.model_dump_json(), began)
            self._of.ran(result.run_id, person, asked)

    async def thread(self, person: Person) -> None:
        """Run on a thread that others have run on, too."""
        app, began = self._app(person[0]), self._of.clock
        graph = build_graph(app._runtime.parts, run=app._runtime.run)
        on: Any = {"configurable": {"thread_id": "one"}}
        context = RunContext(namespace=person[0], max_iterations=1, k=8)
        compiled: Any = graph.compile(checkpointer=self._saver)
        asked = {**self._asked(person), "task": "long"}
        self._of.seen["requests"] += 1
        async for chunk in compiled.astream(asked, on, context=context, stream_mode=MODES):
            self._of.look("a thread", person, chunk, began)
        state = await compiled.aget_state(on)
        self._of.look("a thread's state", person, state.values, began)
        self._of.ran(state.values["run_id"], person, asked)

    async def add(self, person: Person) -> None:
        """Add a text, perhaps in the place of an earlier one of the same id in the source."""
        await self._put([self._new(person, f"s-{self._rng.randrange(6)}")])

    def _new(self, person: Person, source: str) -> Held:
        shared = self._rng.random() < 0.6
        mark = self._of.mark(*person, shared=shared)
        topic = self._rng.choice(self._topics[person[0]])
        row = {"user_id": person[1], "body": self._of.words(mark), "topic_id": topic}
        return Held({**row, "shared": shared, "source_id": source}, mark)

    async def _put(self, rows: list[Held]) -> None:
        for each in rows:
            if each.row["shared"]:  # from now on
                self._set_shared(each, None)
        people = [self._of.owned[each.mark].person for each in rows]
        await self._app(people[0][0]).add_many([each.row for each in rows])
        at = self._of.ended()
        for each, person in zip(rows, people, strict=True):
            if not each.row["shared"]:
                self._set_shared(each, at)
            self._of.held.setdefault(person, {})[each.row["source_id"]] = each
        for person in dict.fromkeys(people):
            await self.texts(person)

    def _set_shared(self, held: Held, private_at: int | None) -> None:
        for mark in filter(None, (held.mark, held.titled)):
            owned = self._of.owned[mark]
            owned.shared, owned.private_at = owned.shared or private_at is None, private_at

    async def share(self, person: Person) -> None:
        """Add a text again, shared or private."""
        held = self._of.held.get(person)
        if held:
            one = self._rng.choice(list(held.values()))
            row = {**one.row, "shared": not one.row["shared"]}
            await self._put([replace(one, row=row)])

    async def texts(self, person: Person) -> None:
        """Read what is held of somebody."""
        began = self._of.clock
        found = await self._app(person[0]).texts(person[1])
        self._of.look("a list of texts", person, [each.body for each in found], began)
        for each in found:
            marks = [mark.decode() for mark in MARK.findall(each.body.encode())]
            self._of.owned[each.text_id] = self._of.owned[marks[0]]

    async def feedback(self, person: Person) -> None:
        """Correct a draft; the correction becomes one of the person's texts, or does not."""
        runs = [run for run, whose in self._of.runs.items() if whose == person]
        if not runs:
            return
        run, app, add = self._rng.choice(runs), self._app(person[0]), self._rng.random() < 0.5
        mark = self._of.mark(*person)
        body, shared = self._of.words(mark), bool(app.settings.share)
        titled = self._of.titles[run]
        corrected = Held({"user_id": person[1], "body": body, "shared": shared}, mark, titled)
        if add and shared:
            self._set_shared(corrected, None)
        await app.feedback(run, edited=body, add=add)
        if not add:
            return
        if not shared:
            self._set_shared(corrected, self._of.ended())
        for text in await app.texts(person[1]):
            if mark in text.body:
                here = {"topic_id": text.topic_id, "title": text.title}
                corrected.row.update(here, source_id=text.source_id)
                self._of.held.setdefault(person, {})[text.source_id] = corrected
        await self.texts(person)

    async def remove(self, person: Person) -> None:
        """Remove one text."""
        held = self._of.held.get(person)
        if not held:
            return
        source = self._rng.choice(list(held))
        receipt = await self._app(person[0]).remove_texts(person[1], [source])
        self._of.look("a receipt", person, receipt.as_dict(), -1)
        if receipt.found:
            gone, at = held.pop(source), self._of.ended()
            self._set_shared(gone, at)  # the title is a request's, too
            self._of.owned[gone.mark].gone_at = at

    async def forget(self, person: Person) -> None:
        """Forget somebody; the id stays, as the same person may come again."""
        marks = [each for each in self._of.owned.values() if each.person == person]
        receipt = await self._app(person[0]).forget(person[1])
        self._of.look("a receipt", person, receipt.as_dict(), -1)
        at = self._of.ended()
        for each in marks:
            each.gone_at = at
        self._of.held.pop(person, None)
        self._of.runs = {run: whose for run, whose in self._of.runs.items() if whose != person}

    async def reach_over(self, person: Person) -> None:
        """Try to reach another tenant's: each call is refused, or finds nothing."""
        app, other = self._app(person[0]), self._rng.choice(list(self._apps))
        if other == person[0]:
            return
        began, stranger = self._of.clock, self._people[other][-1]  # nobody here has this id
        runs = [run for run, whose in self._of.runs.items() if whose[0] == other]
        ids = [each for each in self._of.owned if TEXT_ID.fullmatch(each)]
        theirs = [each for each in ids if self._of.owned[each].person[0] == other]
        tries: dict[str, Callable[[], Awaitable[Any]]] = {
            "awrite": partial(app.awrite, **self._asked(person), namespace=other),
            "texts": partial(app.texts, stranger),
            "forget": partial(app.forget, stranger),
            "remove_texts": partial(app.remove_texts, person[1], theirs[-1:]),
            "feedback": partial(app.feedback, (runs or ["none"])[-1], rating=5),
        }
        name = self._rng.choice(list(tries))
        try:
            got = await tries[name]()
        except (RequestError, CodedError) as error:
            said = TEXT_ID.sub("", str(error))  # without the ids that were asked for
            self._of.look("an error", person, said, began)
            return
        if (name, got) != ("texts", []) and getattr(got, "found", True):
            self._of.crossings.append(f"{name} of {person} reached {other}: {got!r}")
        self._of.look("near ids", person, getattr(got, "near_ids", ()), began)

    # At the end.

    async def look_at_the_end(self) -> None:
        """Check that everybody has what they have, and that all records hold no more."""
        for namespace, people in self._people.items():
            for user in people:
                found = await self._apps[namespace][0].texts(user)
                held = self._of.held.get((namespace, user), {})
                bodies = {each.row["body"] for each in held.values()}
                if odd := {each.body for each in found} ^ bodies:
                    self._of.crossings.append(f"{namespace}, {user}: not as left: {odd}")
        for path in (self._of.folder / "trace").rglob("*.jsonl"):
            for line in path.read_text().splitlines():
                self._look_at_record(json.loads(line))

    def _look_at_record(self, record: dict[str, Any]) -> None:
        asked = record.get("request") or {}
        known = self._of.runs.get(record.get("run_id", ""), ("", ""))
        person = (record["namespace"], asked.get("user_id", "")) if "namespace" in record else known
        self._of.seen["records"] += 1
        self._of.look("a record", person, json.dumps(record), self._of.clock)


STEP_WEIGHTS = {
    "write": 16,
    "thread": 4,
    "add": 4,
    "share": 3,
    "feedback": 3,
    "remove": 1,
    "forget": 1,
    "reach_over": 3,
    "texts": 2,
}
"""What is done, and how often: each the name of a method of `Tenants`."""

ONLY_READING = ("write", "thread", "texts", "reach_over")


async def history(folder: Path, seed: int) -> History:
    """Make one history in an empty folder, and return what was seen."""
    made = History(folder, random.Random(seed))
    async with AsyncExitStack() as exits:
        tenants = Tenants(made, exits)
        await tenants.open()
        for _ in range(STEPS):
            await tenants.step()
        await tenants.look_at_the_end()
    return made


def histories(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Make so many histories; returns what was counted, and all crossings."""
    seen, crossings = Counter[str](), []
    for number in range(count):
        with TemporaryDirectory() as folder:
            os.environ[VARIABLE] = str(Path(folder) / "copies.jsonl")
            made = asyncio.run(history(Path(folder), seed + number))
        seen += made.seen
        crossings += [f"history {seed + number}: {each}" for each in made.crossings]
    return seen, crossings


def main() -> int:
    """Make the histories that are asked for."""
    opening.open_encoders = cheap_encoders
    count, seed = map(int, sys.argv[1:])
    seen, crossings = histories(count, seed)
    told = {"histories": count, "crossings": len(crossings), **dict(sorted(seen.items()))}
    sys.stdout.write(json.dumps(told, indent=1) + "\n" + "\n".join(crossings[:50]) + "\n")
    return 1 if crossings else 0


if __name__ == "__main__":
    sys.exit(main())
