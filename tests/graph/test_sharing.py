"""What a text may be used for: its author alone, or others too; never anything in a cache."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedChat
from patlm.graph import Personalizer, Settings, open_store
from patlm.graph import open as opening
from patlm.nodes.errors import SettingsError
from patlm.nodes.trace import NOTHING_SHARED
from processes import call, output, run_python
from raising import raises
from store_fixtures import cheap_encoders

SECRET = "Marzipan under the loose floorboard."
OTHER_PROCESS = """
import asyncio, json
from fakes import ScriptedChat
from patlm.graph import Personalizer, open as opening
from store_fixtures import cheap_encoders

opening.open_encoders = cheap_encoders

async def main():
    async with Personalizer(model=ScriptedChat()) as personalizer:
        before = await personalizer.awrite("ana", title="Two nights", topic_id="wool-blanket")
        added = await personalizer.add("ana", "Nougat behind the tall clock.")
        print(json.dumps([len(before.own), len(before.evidence["style"]), added.added]))

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch, sample_cache: Path) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    monkeypatch.setenv("PATLM_CACHE", str(sample_cache))


async def borrowed(personalizer: Personalizer) -> set[str]:
    result = await personalizer.awrite("dee", title="Two nights", topic_id="sea")
    return {piece.user_id for pieces in result.evidence.values() for piece in pieces}


@pytest.mark.parametrize("share", [None, False, True])
async def test_texts_are_shared_only_if_the_app_says_so(tmp_path: Path, share: bool | None) -> None:
    async with Personalizer(tmp_path / "s", model=ScriptedChat(), share=share) as personalizer:
        await personalizer.add("bo", "I slept. I ate.", topic_id="sea")
        await personalizer.add("cy", "What a view! Go!", topic_id="sea", shared=True)
        await personalizer.add("eve", "So quiet, so blue.", topic_id="sea", shared=False)
        assert await borrowed(personalizer) == ({"bo", "cy"} if share else {"cy"})


@pytest.mark.parametrize("again", ["add", "--no-share", "another process"])
async def test_a_shared_text_that_comes_again_as_private_is_taken_back(
    tmp_path: Path, again: str
) -> None:
    text: Any = {"user_id": "bo", "body": "I slept.", "topic_id": "sea"}
    store = tmp_path / "s"
    async with Personalizer(store, model=ScriptedChat()) as personalizer:
        await personalizer.add(**text, shared=True)
        await personalizer.add("cy", "What a view! Go!", topic_id="sea", shared=True)
        assert await borrowed(personalizer) == {"bo", "cy"}
        if again == "add":
            assert (await personalizer.add(**text, shared=False)).duplicates == 1
        elif again == "another process":
            async with Personalizer(store, model=ScriptedChat()) as other:
                await other.add(**text)
        else:
            file = tmp_path / "texts.jsonl"
            file.write_text(json.dumps({"user_id": "bo", "topic_id": "sea", "text": "I slept."}))
            done = await asyncio.to_thread(call, "ingest", file, "--store", store, again)
            assert done.exit_code == 0, done.output
        assert await borrowed(personalizer) == {"cy"}
        assert [each.body for each in await personalizer.texts("bo")] == ["I slept."]


def test_sharing_can_be_set_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATLM_SHARE", "true")
    assert Settings().share and Personalizer(model=ScriptedChat()).settings.share
    assert not Personalizer(model=ScriptedChat(), share=False).settings.share


async def test_how_many_authors_a_preference_needs_can_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"model": ScriptedChat(), "share": True}
    asked: dict[str, Any] = {"title": "Two nights", "topic_id": "sea", "max_iterations": 1}
    async with Personalizer(tmp_path / "s", **given) as two:
        await two.add("bo", "I slept. I ate.", topic_id="sea")
        alone = await two.awrite("dee", **asked)
        assert alone.summaries["preference"] is None and "PATLM_MIN_AUTHORS" in str(alone.warnings)
        assert (await two.awrite("dee", **asked, min_authors=1)).summaries["preference"]
    monkeypatch.setenv("PATLM_MIN_AUTHORS", "1")
    async with Personalizer(tmp_path / "s", **given) as one:
        assert (await one.awrite("dee", **asked)).summaries["preference"]
    async with Personalizer(tmp_path / "s", **given, min_authors=3) as three:
        await three.add("cy", "What a view! Go!", topic_id="sea")
        result = await three.awrite("dee", **asked)
        assert "2 authors" in str(result.warnings) and "needs 3" in str(result.warnings)
    with raises(SettingsError, "invalid_settings", "min_authors"):
        Personalizer(model=ScriptedChat(), min_authors=0)


async def test_where_nobody_shares_the_result_says_so_once(tmp_path: Path) -> None:
    async with Personalizer(tmp_path / "s", model=ScriptedChat()) as personalizer:
        await personalizer.add("bo", "I slept. I ate.", topic_id="sea")
        await personalizer.add("dee", "My own words!", topic_id="hut", shared=True)
        alone = await personalizer.awrite("dee", title="Two nights", topic_id="sea")
        assert alone.warnings.count(NOTHING_SHARED) == 1
        await personalizer.add("cy", "Cold. Wet.", topic_id="hut", shared=True)
        some = await personalizer.awrite("dee", title="Two nights", topic_id="sea")
        assert NOTHING_SHARED not in some.warnings


def test_a_file_may_be_ingested_for_its_authors_alone(tmp_path: Path) -> None:
    file, store = tmp_path / "texts.jsonl", tmp_path / "store"
    file.write_text(json.dumps({"user_id": "bo", "topic_id": "sea", "text": "I slept."}))
    assert call("ingest", file, "--store", store, "--no-share").exit_code == 0
    found = output("stats", "--store", store)
    assert (found["texts"], found["shared"]) == (1, 0)


async def test_what_is_added_to_the_sample_store_stays_in_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_cache: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    async with Personalizer(model=ScriptedChat()) as personalizer:
        await personalizer.add("ana", SECRET, topic_id="hut")
        own = (await personalizer.awrite("ana", title="Two nights")).own
        assert [piece.body for piece in own] == [SECRET]
        other = await asyncio.to_thread(run_python, "-c", OTHER_PROCESS, cwd=tmp_path)
        assert other.returncode == 0, other.stderr
        seen, evidence, added = json.loads(other.stdout)
        assert (seen, added) == (0, 1) and evidence > 0
        assert list(scratch.iterdir())
    assert list(scratch.iterdir()) == []
    async with open_store(None) as store:
        assert not (await store.history("default", "ana")).texts
    kept = b"".join(path.read_bytes() for path in sample_cache.rglob("*") if path.is_file())
    assert b"wool-blanket" in kept, "the cache has the sample, uncompressed"
    assert b"floorboard" not in kept and b"tall clock" not in kept
