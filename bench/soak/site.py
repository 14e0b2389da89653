"""What the processes of a soak share: its folders, made-up people, and the list of who is there.

Every text bears a mark that tells its author, its tenant, and whether others may read it. So what
is read anywhere, an answer or a byte of a file, says by itself whether it may be there. The marks
are computed from the people's ids: no list of the soak has one.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from ...stores.files import append_line
from ...stores.types import Text

TENANTS = ("left", "right")
TOPICS = 12
TEXTS_EACH = 6
"""Texts of one person; the last one is private."""

MARK = re.compile(rb"zq[a-p]{22}")

_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_WORDS = (
    *("lamp", "kettle", "garden", "morning", "window", "train", "bread", "winter", "paper"),
    *("quiet", "heavy", "cheap", "bright", "old", "narrow", "sour", "warm", "broken", "plain"),
    *("bought", "returned", "kept", "carried", "forgot", "painted", "washed", "sold", "gave"),
    *("yesterday", "again", "never", "always", "twice", "slowly", "at last", "in the rain"),
)


@dataclass(frozen=True)
class MadeUpPerson:
    """A made-up person.

    Attributes:
        number: Counts all people of a soak, from 0.
    """

    number: int

    @property
    def tenant(self) -> str:
        """The namespace of the person's texts."""
        return TENANTS[self.number % len(TENANTS)]

    @property
    def user_id(self) -> str:
        """The id, which does not name the tenant."""
        return f"soaked-{self.number:07}"

    @property
    def asks(self) -> bool:
        """Whether the person writes by the loop; the others' ids are searched for, too."""
        return self.number // len(TENANTS) % 2 == 0

    def mark(self, *, private: bool) -> str:
        """Return the mark of the person's texts that others may read, or may not."""
        named = f"{self.user_id}/{private}"
        return "zq" + hashlib.sha256(named.encode()).hexdigest()[:22].translate(_LETTERS)

    def body(self, rng: random.Random, *, private: bool) -> str:
        """Return a new text."""
        words = rng.sample(_WORDS, 9)
        mark = self.mark(private=private)
        return f"{words[0].title()} {' '.join(words[1:5])}, {mark} {' '.join(words[5:])}."

    def texts(self, seed: int) -> Iterator[Text]:
        """Yield what the person has written."""
        rng = random.Random(f"{seed}/{self.number}")
        for place in range(TEXTS_EACH):
            private = place == TEXTS_EACH - 1
            yield Text(
                self.user_id,
                self.body(rng, private=private),
                f"topic-{rng.randrange(TOPICS)}",
                title=" ".join(rng.sample(_WORDS, 3)),
                rating=float(rng.randint(1, 5)),
                namespace=self.tenant,
                shared=not private,
            )


class WordEncoder(Embeddings):
    """Counts words in hashed buckets: texts that share words are near, at no cost."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one row a text."""
        rows = np.zeros((len(texts), 32))
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                code = zlib.crc32(word.encode())
                row[code % len(row)] += 1 if code & 0x10000 else -1
            row[0] += not row.any()
        made: list[list[float]] = rows.tolist()
        return made

    def embed_query(self, text: str) -> list[float]:
        """Return the row of a text."""
        return self.embed_documents([text])[0]


ENCODER = f"python:{__name__}:WordEncoder"


@dataclass
class PeopleList:
    """Who came, who is being forgotten and who is, as all processes know it.

    A line is written before people's texts are, before a removal begins, and after its receipt.
    `read` takes in what was written since.
    """

    folder: Path
    came: dict[int, None] = field(default_factory=dict)
    leaving: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    marks: dict[str, tuple[MadeUpPerson, bool]] = field(default_factory=dict)
    _read: int = 0

    def note(self, what: str, people: Iterable[MadeUpPerson]) -> None:
        """Write a line for each of some people: `came`, `leaving` or `gone`."""
        numbers = " ".join(str(person.number) for person in people)
        append_line(self.folder / "people", f"{what} {numbers}", sync=False)

    def read(self) -> PeopleList:
        """Take in what was written since."""
        path = self.folder / "people"
        if not path.exists():
            return self
        with path.open() as file:
            file.seek(self._read)
            lines = file.read()
        whole = lines[: lines.rfind("\n") + 1]  # the last one may be under way
        self._read += len(whole)
        for line in filter(None, whole.splitlines()):
            what, *numbers = line.split()
            for person in map(MadeUpPerson, map(int, numbers)):
                if what == "came":
                    self.came[person.number] = None
                    for private in (False, True):
                        self.marks[person.mark(private=private)] = (person, private)
                else:
                    (self.leaving if what == "leaving" else self.gone).add(person.number)
        return self

    def here(self) -> list[MadeUpPerson]:
        """Return who came and is not being forgotten, the oldest first."""
        return [MadeUpPerson(number) for number in self.came if number not in self.leaving]


@dataclass(frozen=True)
class Site:
    """Where a soak takes place, and how its processes are told what to do.

    Attributes:
        root: Its folder.
        people: How many people are there at once.
        seed: Of everything that is drawn.
        pause, resume, stop: Events: what the processes shall do.
        arrived: A semaphore, released by each process that pauses.
        reports: A queue of reports.
    """

    root: Path
    people: int
    seed: int
    pause: Any
    resume: Any
    stop: Any
    arrived: Any
    reports: Any

    @property
    def store(self) -> Path:
        """The store."""
        return self.root / "data" / "store"

    @property
    def trace(self) -> Path:
        """The records of runs, and feedback."""
        return self.root / "data" / "trace"

    @property
    def adapters(self) -> Path:
        """The registry of adapters."""
        return self.root / "data" / "adapters"

    def files(self) -> Iterator[Path]:
        """Yield all files in which texts may be; folders may go meanwhile."""
        for folder, _, names in os.walk(self.root / "data"):
            for name in names:
                yield Path(folder, name)

    def found(self, needles: Iterable[str] = ()) -> Counter[str]:
        """Return how often each mark, and each needle, stands in the bytes of all files."""
        found, sought = Counter[str](), [each.encode() for each in needles]
        for path in self.files():
            try:
                data = path.read_bytes()
            except FileNotFoundError:  # removed by another process since
                continue
            found.update(mark.decode() for mark in MARK.findall(data))
            found.update({each.decode(): data.count(each) for each in sought if each in data})
        return found
