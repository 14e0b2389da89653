"""Whatever is handed to the front door or to a call is taken, or refused by an error of ours."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedChat
from fuzzing import EACH, ODD_WORDS, VALUES, WORDS, fields, result_or_error, run_examples
from hypothesis import strategies as st
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.graph.retrieve import Retrieved, retrieve
from patlm.nodes.dependencies import Parts
from patlm.nodes.node import check_sizes
from patlm.nodes.state import Result
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.validation import Reject
from patlm.stores.types import Added, Receipt, Text
from store_fixtures import cheap_encoders

USERS = ["ana", "bo", "cy", "a@b.c", 7]
TOPICS = ["sea", "hut", None, 3]
TEXT: dict[str, list[Any]] = {
    "user_id": USERS,
    "body": ["A text.", "Cold water, kind people.", "x" * 3_000],
    "topic_id": TOPICS,
    "title": ["A title", None],
    "rating": [1, 5, "4", None],
    "timestamp": [None, 1_700_000_000, "2024-05-01", "2024-05-01T10:00:00Z"],
    "language": ["en", "pt", None],
    "shared": [True, False],
    "source_id": ["s1", "s2", None],
}
REQUEST: dict[str, list[Any]] = {
    "user_id": USERS,
    "title": ["Two nights", None],
    "text": ["A text of mine.", None],
    "instruction": ["Write a note.", None],
    "task": ["long", "short", "rating", "free", None],
    "topic_id": TOPICS,
    "rating": [3, None],
    "language": ["en", "de"],
    "k": [1, 4],
    "max_iterations": [1, 2],
    "mode": ["both", "sequential"],
    "sides": [["style"], ["style", "preference"]],
    "strategies": [{"style": "own_history"}],
    "max_tokens": [20],
    "seed": [1],
    "min_authors": [1, 2],
}


class Babbler(ScriptedChat):
    """Answers whatever the example says; the words lie outside of the model."""

    def next_words(self, words: str) -> "Babbler":
        """Set what it answers from now on."""
        object.__setattr__(self, "says", dict.fromkeys(("style", "preference", "integrate"), words))
        return self


class Opened:
    """A personalizer on a loop of its own, for all examples of a module."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.Runner()
        self.model = Babbler()
        self.app = Personalizer(folder / "S", model=self.model, trace=folder / "T", share=True)
        self.runs = ["no run"]

    def run(self, call: Any) -> Any:
        """Return the result of a call, or the error of ours that it raises."""
        return self.loop.run(result_or_error(call))

    async def parts(self) -> Parts:
        """Return store and encoders."""
        return await self.app._runtime.parts()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_encoders", cheap_encoders)
        made = Opened(tmp_path_factory.mktemp("fuzz"))
        for user in ("ana", "bo", "cy"):
            made.run(
                lambda user=user: made.app.add(user, f"By the sea with {user}.", topic_id="sea")
            )
        yield made
        made.loop.run(asyncio.to_thread(made.app.close))
        made.loop.close()


LINES = st.one_of(
    fields({"user_id": USERS, **TEXT}).map(lambda row: json.dumps(row, default=repr)),
    VALUES.map(lambda value: json.dumps(value, default=repr)),
    WORDS,
    ODD_WORDS,
    st.binary(max_size=30),
)


@EACH
def test_rows_of_a_file(tmp_path: Path, many: bool) -> None:
    """Each row of a file is a text or a reject; a file that can't be read is an error of ours."""
    file = tmp_path / "rows.jsonl"

    def read(lines: list[str | bytes]) -> None:
        raw = [
            each if isinstance(each, bytes) else each.encode("utf-8", "surrogatepass")
            for each in lines
        ]
        file.write_bytes(b"\n".join(raw))

        async def rows() -> list[object]:
            return list(read_texts(file))

        found = asyncio.run(result_or_error(rows))
        if isinstance(found, list):
            assert all(isinstance(row, Text | Reject) for row in found)

    run_examples("rows", many, st.lists(LINES, min_size=1, max_size=4), read)


@EACH
def test_texts_that_an_app_adds(opened: Opened, many: bool) -> None:
    def add(texts: list[Any]) -> None:
        before = opened.run(lambda: opened.app.texts("ana"))
        found = opened.run(lambda: opened.app.add_many(texts))
        if not isinstance(found, Added):
            assert opened.run(lambda: opened.app.texts("ana")) == before, "all or none"

    texts = st.lists(st.one_of(fields(TEXT), fields(TEXT, 0), VALUES), max_size=3)
    run_examples("texts", many, st.one_of(texts, texts, texts, VALUES), add)


def calls(opened: Opened) -> dict[str, tuple[type, Any]]:
    """Return each call by its name: what it gives, and how it is made of an example's fields."""
    app = opened.app

    async def retrieved(given: dict[str, Any]) -> Retrieved:
        request, context = app._read_call(given)
        check_sizes(request, app.settings.size_limits)
        return await retrieve(await opened.parts(), request, context)

    async def fed(given: dict[str, Any]) -> None:
        await app.feedback(**given)

    return {
        "write": (Result, lambda given: app.awrite(**given)),
        "retrieve": (Retrieved, retrieved),
        "batch": (list, lambda given: app.abatch([given])),
        "feedback": (type(None), fed),
        "forget": (Receipt, lambda given: app.forget(**given)),
        "texts": (list, lambda given: app.texts(**given)),
        "remove": (Receipt, lambda given: app.remove_texts(**given)),
    }


@EACH
def test_calls(opened: Opened, many: bool) -> None:
    """Arguments, and what the model answers, are whatever they are."""
    by_name = calls(opened)
    given: dict[str, dict[str, list[Any]]] = {
        "write": REQUEST,
        "retrieve": REQUEST,
        "batch": REQUEST,
        "feedback": {"run_id": [0, 1], "accepted": [True], "edited": ["Better."], "rating": [4]}
        | {"add": [True, False]},
        "forget": {"user_id": [*USERS, "nobody"], "dry_run": [True, False], "copies": [()]},
        "texts": {"user_id": USERS},
        "remove": {"user_id": USERS, "text_ids": [["s1"], []], "dry_run": [True]},
    }

    needs = {"write": ["user_id"], "feedback": ["run_id"], "forget": ["user_id"]}
    needs |= {"texts": ["user_id"], "remove": ["user_id", "text_ids"]}  # or Python refuses them
    open_ended = ("write", "retrieve", "batch", "feedback")  # they take any name

    def call(example: tuple[str, dict[str, Any], str]) -> None:
        name, fields, words = example
        fields = {**dict.fromkeys(needs.get(name, ()), "ana"), **fields}
        if type(fields.get("run_id")) is int and abs(fields["run_id"]) < 2:
            fields["run_id"] = opened.runs[-fields["run_id"]]
        opened.model.next_words(words)
        kind, made = by_name[name]
        found = opened.run(lambda: made(fields))
        assert isinstance(found, kind | Exception), found
        if isinstance(found, Result):
            opened.runs.append(found.run_id)

    names = st.sampled_from(sorted(given))
    said = st.one_of(WORDS, ODD_WORDS, st.just("A fine view."))
    one = names.flatmap(
        lambda name: st.tuples(st.just(name), fields(given[name], unknown=name in open_ended), said)
    )
    run_examples("calls", many, one, call)
