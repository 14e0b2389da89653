"""What holds people's texts is for the user who runs the program: files 0600, folders 0700."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from collecting import collected, drawing_model, parts_with, some_targets
from fakes import ScriptedChat
from patlm.evaluation.cache import Answers
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.graph.open import open_store
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.ingest import ingest
from processes import call
from store_fixtures import cheap_encoders


@pytest.fixture(autouse=True)
def usual_umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Return what is not for this user alone; below a table's folder nobody else gets."""
    found = []
    for path in [folder, *sorted(folder.rglob("*"))]:
        if any(parent.suffix == ".lance" for parent in path.relative_to(folder).parents):
            continue
        mode, wanted = path.stat().st_mode & 0o777, 0o700 if path.is_dir() else 0o600
        if mode != wanted:
            found.append(f"{path.relative_to(folder)}: {mode:o}")
    return found


async def run_everything(store: Path, out: Path) -> None:
    rows = [{"user_id": "bo", "topic_id": "sea", "text": "I slept."}, {"user_id": "", "text": "x"}]
    file = store.parents[1] / "texts.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    async with open_store(str(store)) as opened:
        await ingest(
            opened,
            read_texts(file),
            rejects_file=out / "more" / "rejects.jsonl",
            splits_file=out / "splits.json",
        )
    async with Personalizer(store, model=ScriptedChat(), trace=out / "traces") as personalizer:
        await personalizer.add("u-ana", "Bright. Warm.", topic_id="hut", shared=True)
        result = await personalizer.awrite("u-ana", title="Two", topic_id="sea", max_iterations=1)
        await personalizer.feedback(result.run_id, rating=4)
        await personalizer.forget("bo")
    Answers(out / "cache" / "answers.sqlite").put("k", {"text": "A view."})


async def test_all_that_is_made_is_for_this_user_alone(tmp_path: Path) -> None:
    made = tmp_path / "made"
    await run_everything(made / "store", made / "out")
    assert {path.name for path in (made / "store").glob("*.lance")} >= {"forgotten.lance"}
    assert open_to_others(made) == []


def test_episodes_and_pages_are_too(tmp_path: Path) -> None:
    made = tmp_path / "made"
    collected(made / "episodes", some_targets(2), parts_with(drawing_model()))
    page = made / "episodes" / "page.html"
    assert call("view", made / "episodes", "--html", page).exit_code == 0
    assert page.exists() and open_to_others(made) == []


async def test_a_folder_that_was_there_stays_and_what_is_made_in_it_is_private(
    tmp_path: Path,
) -> None:
    store, out = tmp_path / "made" / "store", tmp_path / "made" / "out"
    for folder in (store, out):
        folder.mkdir(parents=True)
    await run_everything(store, out)
    assert open_to_others(tmp_path / "made") == [".: 755", "out: 755", "store: 755"]
