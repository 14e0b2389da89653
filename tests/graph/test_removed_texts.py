"""Single texts of a person in store, traces, episodes and splits, by API and commands."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from fakes import ScriptedChat
from patlm.cli.main import app
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.nodes.errors import RequestError
from patlm.stores.episodes.feedback import give_feedback
from patlm.stores.episodes.schema import Episode, EvidenceRecord, Feedback, TargetRecord
from patlm.stores.episodes.shards import EpisodeWriter, read_episodes
from patlm.stores.types import Text
from store_fixtures import TEXTS, cheap_encoders, opened
from typer.testing import CliRunner

MILK = next(text for text in TEXTS if (text.user_id, text.topic_id) == ("ann", "milk"))
JAM = next(text for text in TEXTS if (text.user_id, text.topic_id) == ("ann", "jam"))
REVIEW = Text("ann", "The lamp is grate, I love it very much.", "lamp", source_id="r1")
THREAD = [Text("ann", f"Post number {n} in a thread.", "t", source_id="t3") for n in (1, 2)]


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture(scope="module")
def filled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "store"

    async def fill() -> None:
        async with opened(path) as store:
            await store.add([*TEXTS, REVIEW, *THREAD])

    asyncio.run(fill())
    return path


@pytest.fixture
def store(filled_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled_store, tmp_path / "store"))


def call(store: Path, *words: object) -> Result:
    command, *rest = map(str, words)
    return CliRunner().invoke(app, ["texts", command, "--store", str(store), *rest])


def output(store: Path, *words: object, exit_code: int = 0) -> dict[str, Any]:
    result = call(store, *words, "--json")
    assert result.exit_code == exit_code, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def bodies(store: Path, user: str = "ann") -> set[str]:
    return {each["body"] for each in output(store, "list", user)["texts"]}


def test_what_is_held_is_listed_whole(store: Path) -> None:
    found = output(store, "list", " ann ")["texts"]
    assert {each["text_id"] for each in found} == {
        text.text_id for text in (*TEXTS, REVIEW, *THREAD) if text.user_id == "ann"
    }
    review = next(each for each in found if each["text_id"] == REVIEW.text_id)
    assert (review["source_id"], review["body"], review["shared"]) == ("r1", REVIEW.body, True)
    shown = call(store, "list", "ann").stdout
    assert all(each["text_id"] in shown for each in found) and "r1" in shown


ODD = Text("\x1b[31mann", "Nice \x1b[2Jbread\x07 [bold]here[/bold]", title="\u202eevil")


@pytest.fixture
async def odd_store(tmp_path: Path) -> Path:
    async with opened(tmp_path / "odd") as store:
        await store.add([ODD])
    return tmp_path / "odd"


def test_control_characters_of_a_text_are_shown_as_such(odd_store: Path) -> None:
    shown = call(odd_store, "list", ODD.user_id).stdout
    assert r"\x1b[2Jbread\x07 [bold]here[/bold]" in shown
    shown += call(odd_store, "remove", ODD.user_id, ODD.text_id).stdout
    assert r"\x1b[31mann: 1 texts" in shown
    assert not set(shown) & set("\x1b\x07\u202e")


@pytest.mark.parametrize(("asked", "near"), [("ANN", "ann"), ("somebody", None)])
def test_nobodys_texts_are_exit_code_one(store: Path, asked: str, near: str | None) -> None:
    for words in (("list", asked), ("remove", asked, MILK.text_id)):
        result = call(store, *words)
        assert (result.exit_code, result.stdout) == (1, "") and repr(asked) in result.stderr
        assert near is None or repr(near) in result.stderr
        assert output(store, *words, exit_code=1)["near_ids"] == ([near] if near else [])


@pytest.mark.parametrize("named", [REVIEW.text_id, "r1"])
def test_one_text_is_removed(store: Path, named: str) -> None:
    before = bodies(store)
    assert output(store, "remove", "ann", named, "--dry-run")["removed"]["texts"] == 1
    assert bodies(store) == before
    found = output(store, "remove", "ann", named)
    assert (found["removed"]["texts"], found["text_ids"]) == (1, [REVIEW.text_id])
    assert found["bytes_found_before"] == found["pieces"] > found["bytes_found_after"] == 0
    assert bodies(store) == before - {REVIEW.body}
    assert output(store, "remove", "ann", named, exit_code=1)["removed"]["texts"] == 0


def test_what_was_removed_is_said(store: Path) -> None:
    shown = call(store, "remove", "ann", MILK.text_id, JAM.text_id).stdout
    assert shown.startswith("ann: 2 texts,") and "proof" in shown


@pytest.mark.parametrize(
    "ids", [(MILK.text_id, "no-such-id"), ("t3",), (MILK.text_id, "t3"), ("no-such-id",)]
)
def test_all_or_none(store: Path, ids: tuple[str, ...]) -> None:
    """An id that names no text, or two, removes nothing; the message names it."""
    before = bodies(store)
    result = call(store, "remove", "ann", *ids)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1 and repr(ids[-1]) in result.stderr
    assert bodies(store) == before


def episode(run: str, user: str, *, read: Text = MILK, **given: Any) -> Episode:
    piece = EvidenceRecord(
        text_id=read.text_id, user_id=read.user_id, body=f"{read.body} as read", score=1.0
    )
    request = {"user_id": user, "task": "short", "text": "What is asked.", **given.pop("asks", {})}
    return Episode(run_id=run, namespace="default", request=request, own=(piece,), **given)


def test_records_that_hold_the_text_are_emptied(store: Path, tmp_path: Path) -> None:
    target = TargetRecord(id="t", data="d", real=f"{MILK.body} ")
    folder = tmp_path / "trace"
    goes = [
        episode("read by another", "bob"),
        episode("a target", "ann", read=JAM, target=target),
        episode("asked about", "ann", read=JAM, asks={"text": MILK.body}),
        episode("edited to it", "ann", read=JAM),
    ]
    stays = [
        episode("another text", "ann", read=JAM),
        episode("words of another", "bob", read=JAM, asks={"text": MILK.body}),
        episode("another tenant", "bob").model_copy(update={"namespace": "acme"}),
    ]
    for each in (*goes, *stays):
        EpisodeWriter(folder).append(each)
    for run, edited in (("edited to it", MILK.body), ("another text", "Another edit.")):
        give_feedback(folder, Feedback(run_id=run, edited=edited))
    found = output(store, "remove", "ann", MILK.text_id, "--trace", folder)
    assert found["removed"]["traces"] == len(goes)
    left = {each.run_id: each for each in read_episodes(folder)}
    assert [run for run, each in left.items() if each.redacted is None] == [
        each.run_id for each in stays
    ]
    assert left["another text"].feedback[0].edited == "Another edit."
    assert not left["edited to it"].feedback


def test_a_former_version_goes_from_the_records(store: Path, tmp_path: Path) -> None:
    former = Text("ann", "A version that the store has replaced.", "lamp")
    EpisodeWriter(tmp_path / "runs").append(episode("old", "bob", read=former))
    words = ("remove", "ann", former.text_id, "--episodes", tmp_path / "runs")
    assert output(store, *words)["removed"] == {
        "texts": 0, "vectors": 0, "users": 0, "topics": 0, "traces": 0, "episodes": 1,
        "copies": 0,
    }  # fmt: skip


async def test_an_app_does_the_same(store: Path) -> None:
    async with Personalizer(store, model=ScriptedChat()) as personalizer:
        await personalizer.add("ann", "An addition of ann's.", topic_id="tea")
        held = await personalizer.texts("ann ")
        assert held[0].body == "An addition of ann's."
        receipt = await personalizer.remove_texts("ann ", [held[0].text_id, "r1"])
        assert (receipt.removed["texts"], receipt.found) == (2, True)
        assert len(await personalizer.texts("ann")) == len(held) - 2
        assert not (await personalizer.remove_texts("ann", ["r1"])).found
        for wrong in ([], ["t3"]):
            with pytest.raises(RequestError) as caught:
                await personalizer.remove_texts("ann", wrong)
            assert caught.value.field == "text_ids"


def test_the_list_may_be_of_a_topic_of_a_time_or_of_the_latest_ones(store: Path) -> None:
    everything = output(store, "list", "ann")["texts"]
    milk = output(store, "list", "ann", "--topic", "milk")["texts"]
    assert milk == [each for each in everything if each["topic_id"] == "milk"] != []
    assert output(store, "list", "ann", "--limit", 2)["texts"] == everything[:2]
    later = output(store, "list", "ann", "--since", "2099-01-01")
    assert (later["texts"], later["near_ids"]) == ([], [])
    assert call(store, "list", "ann", "--since", "soon").exit_code == 2
    assert call(store, "list", "ann", "--since", "2099-01-01").exit_code == 0
