"""What is forgotten while a run, or an ingest of another process, is under way stays forgotten."""

import asyncio
import json
import shutil
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedChat
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.graph.forget import forget_user, remove_texts
from patlm.nodes.state import Result
from patlm.stores.episodes.redaction import forget_episodes
from patlm.stores.forgotten import keys_in
from patlm.stores.texts.forget import Forgetting
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Text
from processes import run_python
from store_fixtures import TEXTS, cheap_encoders, opened

LENT = next(text for text in TEXTS if text.body.startswith("STRONG BLACK TEA"))
Meanwhile = Callable[[TextStore], Awaitable[object]]


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)


def beside(path: Path, do: Meanwhile) -> None:
    """Do something by another opened store, as another process would."""

    async def main() -> None:
        async with TextStore.open_existing(str(path)) as store:
            await do(store)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()


async def run_and(
    store: Path, trace: Path, user: str, do: Meanwhile
) -> tuple[Result, dict[str, Any]]:
    """Run the loop, do something before its draft is written; return result and record."""

    def draft(_: object) -> str:
        beside(store, do)
        return "A fine view."

    model = ScriptedChat(says={"style": "Plain.", "preference": "Black.", "integrate": draft})
    async with Personalizer(store, model=model, trace=trace) as personalizer:
        result = await personalizer.awrite(user, title="Tea", topic_id="tea", max_iterations=1)
    lines = [line for shard in trace.glob("*.jsonl") for line in shard.read_text().splitlines()]
    return result, json.loads(lines[-1])


async def forget_ann(store: TextStore) -> object:
    return await forget_user(store, "default", "ann")


async def forget_bob(store: TextStore) -> object:
    return await forget_user(store, "default", " bob\n")


async def remove_one_of_bob(store: TextStore) -> object:
    return await remove_texts(store, "default", "bob", [LENT.text_id])


async def begin_to_forget_bob(store: TextStore) -> None:
    removing = store.removing("default", "bob")
    await removing.__aenter__()  # and killed then


async def forget_a_namesake(store: TextStore) -> object:
    return await forget_user(store, "another", "bob")


@pytest.mark.parametrize(
    ("do", "user", "kept"),
    [
        (forget_ann, "ann", False),
        (forget_bob, "ann", False),
        (remove_one_of_bob, "ann", False),
        (begin_to_forget_bob, "ann", False),
        (forget_bob, "bob", False),
        (forget_ann, "newcomer", False),  # read as evidence
        (forget_a_namesake, "ann", True),
    ],
)
async def test_a_record_is_written_without_what_was_forgotten_since_the_run_began(
    filled_store: Path, tmp_path: Path, do: Meanwhile, user: str, kept: bool
) -> None:
    store = Path(shutil.copytree(filled_store, tmp_path / "store"))
    result, record = await run_and(store, tmp_path / "trace", user, do)
    assert record["run_id"] == result.run_id and bool(record.get("redacted")) is not kept
    written = b"".join(path.read_bytes() for path in (tmp_path / "trace").rglob("*.jsonl"))
    assert (LENT.body.encode() in written) is kept
    assert (f'"{user}"'.encode() in written) is kept


async def test_a_stranger_without_texts_is_forgotten_too(
    filled_store: Path, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(filled_store, tmp_path / "store"))

    async def forget(beside: TextStore) -> object:
        return await forget_user(beside, "default", "newcomer")

    _, record = await run_and(store, tmp_path / "trace", "newcomer", forget)
    assert record["redacted"] and record["request"] == {}


async def test_who_is_added_after_the_removal_is_there_again(
    filled_store: Path, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(filled_store, tmp_path / "store"))

    async def nothing(_: TextStore) -> None: ...

    async with opened(store) as held:
        await forget_bob(held)
        assert (await held.add([LENT])).added == 1
    _, record = await run_and(store, tmp_path / "trace", "ann", nothing)
    assert not record.get("redacted") and LENT.body in json.dumps(record)


async def test_an_ingest_under_way_in_another_process_brings_nobody_back(tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as store:
        await store.add(TEXTS)

        def rows() -> Iterator[Text]:
            yield Text("bob", "Read before.", "jam")
            beside(tmp_path / "store", forget_bob)
            yield Text("bob", "Read after.", "jam")
            yield Text("cat", "Somebody else's.", "jam")

        added = await store.add(rows())
        assert (added.added, added.forgotten) == (1, 2)
        assert not await store.texts_of("default", "bob")
        assert (await store.add([Text("bob", "Back again.", "jam")])).added == 1


async def test_bytes_that_a_killed_removal_left_are_erased_by_whoever_opens_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> None:
        raise SystemExit

    async with opened(tmp_path / "store") as store:
        await store.add(TEXTS)
        with monkeypatch.context() as patched:
            patched.setattr(Forgetting, "_erase", killed)  # the rows are deleted by then
            with pytest.raises(SystemExit):
                await forget_bob(store)
        assert not await store.texts_of("default", "bob")
    assert holds(tmp_path / "store", LENT.body)
    async with opening.open_store(str(tmp_path / "store")) as store:
        assert not (await store.forgotten()).erasing and not await store.unfinished()
    assert not holds(tmp_path / "store", LENT.body)


def holds(folder: Path, words: str) -> bool:
    return any(words.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_single_text_whose_removal_was_killed_before_its_bytes_went_is_erased(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    async with opened(store) as filled:
        await filled.add(TEXTS)
    code = KILLED_BEFORE_THE_BYTES.format(text_id=LENT.text_id)
    done = run_python("-c", code, store, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    async with TextStore.open_existing(str(store)) as left:
        assert LENT.text_id not in {each.text_id for each in await left.texts_of("default", "bob")}
    assert holds(store, LENT.body), "or it was killed too late"
    async with opening.open_store(str(store)) as finished:
        assert not await finished.unfinished()
        assert len(await finished.texts_of("default", "bob")) == 1
    assert not holds(store, LENT.body)


KILLED_BEFORE_THE_BYTES = """
import asyncio, os, signal, sys
from patlm.graph.forget import remove_texts
from patlm.stores.texts.forget import Forgetting
from patlm.stores.texts.store import TextStore

async def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with TextStore.open_existing(sys.argv[1]) as store:
        Forgetting._erase = killed
        await remove_texts(store, "default", "bob", ["{text_id}"])

asyncio.run(main())
"""


@pytest.mark.parametrize("recorded", [" bob", "bob\n", "\ufeffbob", "bob"])
@pytest.mark.parametrize("place", ["request", "evidence"])
def test_records_of_earlier_versions_are_found_by_the_normal_id(
    tmp_path: Path, recorded: str, place: str
) -> None:
    piece = {"text_id": "1", "user_id": recorded, "body": "Mine.", "score": 1.0}
    record = {
        "version": 2,
        "run_id": "r1",
        "namespace": "default",
        "request": {"user_id": recorded if place == "request" else "ann"},
        "own": [piece] if place == "evidence" else [],
    }
    (tmp_path / "traces-1.jsonl").write_text(json.dumps(record) + "\n")
    assert forget_episodes(tmp_path, "default", "bob") == 1
    assert b"bob" not in (tmp_path / "traces-1.jsonl").read_bytes()


@pytest.mark.parametrize("user", [17, 17.0, "17.0", " 17"])
def test_a_number_is_the_same_person_in_every_record(tmp_path: Path, user: object) -> None:
    record = {"run_id": "r1", "namespace": "default", "request": {"user_id": user}}
    (tmp_path / "traces-1.jsonl").write_text(json.dumps(record) + "\n")
    assert forget_episodes(tmp_path, "default", "17") == 1


@pytest.mark.parametrize("made", [{}, {"request": 3}, {"request": {"user_id": [1]}, "target": 4}])
def test_a_record_made_by_hand_has_keys(made: dict[str, Any]) -> None:
    assert all(isinstance(key, str) for key in keys_in(made))
