"""A corrected draft becomes one of the person's own texts, where the app says so."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes import ScriptedChat
from patlm.cli.main import app as program
from patlm.graph import Personalizer, feedback
from patlm.graph import open as opening
from patlm.nodes.errors import RequestError
from patlm.stores import NoSuchRun
from patlm.stores.episodes.schema import Episode
from patlm.stores.episodes.shards import EpisodeWriter, read_episodes
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Text
from raising import raises
from store_fixtures import cheap_encoders
from typer.testing import CliRunner

MINE = "Two lovely nights, really. ¡Qué bien!"


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Personalizer]:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    model = ScriptedChat()
    async with Personalizer(tmp_path / "store", model=model, trace=tmp_path / "traces") as opened:
        await opened.add("bo", "I slept. I ate. I left.", topic_id="sea", shared=True)
        yield opened


async def own(app: Personalizer) -> list[Text]:
    return await app.texts("ana")


async def test_a_correction_is_a_text_of_its_person(app: Personalizer) -> None:
    asked = {"title": "Two nights", "topic_id": "sea", "language": "pt-BR", "rating": 4}
    run = (await app.awrite("ana", **asked)).run_id  # type: ignore[arg-type]
    await app.feedback(run, edited=f" {MINE}\n", add=True)
    (kept,) = await own(app)
    assert (kept.body.strip(), kept.title, kept.topic_id) == (MINE, "Two nights", "sea")
    assert (kept.language, kept.rating, kept.shared, kept.target) == ("pt-BR", 4, False, False)
    (record,) = read_episodes(app.settings.trace or Path())
    assert [(each.edited or "").strip() for each in record.feedback] == [MINE]
    assert (await app.awrite("ana", title="Soup")).own[0].body.strip() == MINE


async def test_before_the_first_run_there_is_none(app: Personalizer) -> None:
    for given in ({}, {"add": True}):
        with raises(NoSuchRun, "no_such_run", "any", app.settings.trace):
            await app.feedback("any", edited=MINE, **given)


async def test_a_later_correction_takes_the_place_of_the_former(app: Personalizer) -> None:
    runs = [(await app.awrite("ana", title=title)).run_id for title in ("One", "Two")]
    for run, edited in ((runs[0], "First."), (runs[1], "Another run."), (runs[0], "Second.")):
        await app.feedback(run, edited=edited, add=True)
    assert {text.body for text in await own(app)} == {"Another run.", "Second."}


async def test_a_corrected_title_is_that_of_the_persons_text(app: Personalizer) -> None:
    run = (await app.awrite("ana", text="It rained. We stayed in.")).run_id
    await app.feedback(run, edited="Rain, rain", add=True)
    (kept,) = await own(app)
    assert (kept.title, kept.body) == ("Rain, rain", "It rained. We stayed in.")


async def test_without_being_told_nothing_is_added(app: Personalizer) -> None:
    run = (await app.awrite("ana", title="Two nights")).run_id
    await app.feedback(run, edited=MINE)
    assert await own(app) == []


@pytest.mark.parametrize(
    "said", [{"accepted": True}, {"edited": " \n"}, {"edited": "nan"}, {"edited": 5}, {"stars": 1}]
)
async def test_what_is_no_text_keeps_nothing(app: Personalizer, said: dict[str, object]) -> None:
    run = (await app.awrite("ana", title="Two nights")).run_id
    with pytest.raises(RequestError):
        await app.feedback(run, add=True, **said)
    with raises(NoSuchRun, "no_such_run", "nobody"):
        await app.feedback("nobody", edited=MINE, add=True)
    assert await own(app) == []
    (record,) = read_episodes(app.settings.trace or Path())
    assert record.feedback == ()


@pytest.mark.parametrize("when", ["cut off", "meanwhile"])
async def test_a_correction_brings_nobody_back(
    app: Personalizer, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    run = (await app.awrite("ana", title="Two nights")).run_id
    await app.add("ana", "Mine.")
    store = await app._store()
    if when == "cut off":
        with pytest.raises(KeyboardInterrupt):
            async with store.removing("default", "ana"):
                raise KeyboardInterrupt
    else:  # between the reading of the run and the writing of the text

        def and_forget(*on: object) -> None:
            asyncio.run(beside(app))

        monkeypatch.setattr(feedback, "give_feedback_on", and_forget)
    with raises(NoSuchRun, "emptied_run", "ana", run):
        await app.feedback(run, edited=MINE, add=True)
    assert {text.body for text in await own(app)} == ({"Mine."} if when == "cut off" else set())
    (record,) = read_episodes(app.settings.trace or Path())
    assert record.feedback == ()


async def beside(app: Personalizer) -> None:
    """Forget the person by another opened store, as another process would."""
    async with TextStore.open_existing(str(app.settings.store)) as store:
        await store.forget("default", "ana")


async def test_a_rating_is_no_text(app: Personalizer) -> None:
    asked = {"task": "rating", "title": "Two nights", "text": "Fine."}
    run = (await app.awrite("ana", **asked)).run_id  # type: ignore[arg-type]
    with pytest.raises(RequestError) as caught:
        await app.feedback(run, edited="5", add=True)
    assert caught.value.field == "edited" and await own(app) == []


async def test_the_removed_text_goes_from_the_feedback_too(app: Personalizer) -> None:
    run = (await app.awrite("ana", title="Two nights")).run_id
    await app.feedback(run, edited=MINE, add=True)
    (kept,) = await own(app)
    receipt = await app.remove_texts("ana", [kept.text_id])
    assert (receipt.removed["texts"], receipt.removed["traces"]) == (1, 1)
    trace = app.settings.trace or Path()
    assert all(MINE.encode() not in file.read_bytes() for file in trace.iterdir())


def test_the_command_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    request = {"user_id": "ana", "task": "short", "text": "It rained."}
    run = Episode(run_id="run-7", namespace="default", request=request)
    EpisodeWriter(tmp_path / "traces").append(run)
    (tmp_path / "edited.txt").write_text("Rain, rain\n", encoding="utf-8")
    store = tmp_path / "store"
    (tmp_path / "texts.jsonl").write_text('{"user": "bo", "text": "Well."}\n', encoding="utf-8")

    def call(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(program, list(map(str, words)))
        return result.exit_code, result.output

    said = ("feedback", tmp_path / "traces", "--run", "run-7")
    edited = ("--edited", tmp_path / "edited.txt")
    assert call(*said, *edited, "--add")[0] == 2, "a store has to be named"
    assert call(*said, "--accepted", "--add", "--store", store)[0] == 2
    assert call(*said, *edited, "--add", "--store", store)[0] == 1, "there is no such store"
    assert call("ingest", tmp_path / "texts.jsonl", "--store", store)[0] == 0
    code, shown = call(*said, *edited, "--add", "--store", store)
    assert code == 0 and "added" in shown
    assert "It rained." in call("texts", "list", "ana", "--store", store)[1]
    (record,) = read_episodes(tmp_path / "traces")
    assert [each.edited for each in record.feedback] == ["Rain, rain"]
