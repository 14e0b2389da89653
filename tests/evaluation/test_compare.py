"""`patlm compare`: the same requests in each mode, on a page that shows texts as they are."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import DESKTOP, PHONE, chromium, opened
from fakes import ScriptedChat
from patlm.evaluation.compare import MODES, ComparisonPlan, read_requests
from patlm.evaluation.targets import NoTargets
from patlm.graph import open as opening
from processes import assert_one_line, call, output
from store_fixtures import cheap_encoders

MEAN = "A <b>fine</b> view.\n# No *heading*\n1. \x1b[2J\u202e"
Kept = tuple[object, ...]
SAID = {"style": "Short & plain.", "preference": "They like <i>it</i>.", "integrate": MEAN}


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedChat:
    chat = ScriptedChat(says=SAID)

    @contextmanager
    def opened(*_: object, **__: object) -> Iterator[ScriptedChat]:
        yield chat

    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    monkeypatch.setattr(opening, "open_chat", opened)
    monkeypatch.setenv("PATLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATLM_MODEL", "python:fakes:scripted")
    return chat


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Options that keep the store of the sample corpus from one test to the next."""
    return ("--cache", tmp_path_factory.mktemp("stores"))


def compared(*more: object) -> dict[str, Any]:
    found: dict[str, Any] = output("compare", "--limit", 2, *more)
    return found


def test_the_same_requests_are_written_for_in_each_mode(model: ScriptedChat, kept: Kept) -> None:
    found = compared(*kept)
    assert list(found["modes"]) == list(MODES)
    assert len(found["requests"]) == 2
    for request in found["requests"]:
        drafts = {draft["mode"]: draft for draft in request["drafts"]}
        assert list(drafts) == list(MODES)
        assert request["real"] and request["given"]["title"]
        calls = {mode: draft["calls"] for mode, draft in drafts.items()}
        assert calls["none"] == calls["quoted"] == 1 and calls["summaries"] == 3
        assert not any(drafts["none"]["evidence"].values()) and not drafts["none"]["own"]
        assert drafts["quoted"]["evidence"]["preference"]
        assert drafts["summaries"]["summaries"]["style"] == SAID["style"]
        assert "preference" not in drafts["quoted"]["summaries"], "quoted texts are evidence"
        assert drafts["quoted"]["evidence"]["preference"]
        for draft in drafts.values():
            assert draft["text"].startswith("A <b>fine</b> view.") and draft["words"] > 3
            assert draft["tokens_in"] > draft["tokens_out"] > 0 and draft["failed"] is None


def test_the_first_requests_are_taken_and_none_is_chosen() -> None:
    data, few, split = read_requests(ComparisonPlan(limit=3))
    _, many, _ = read_requests(ComparisonPlan(limit=30))
    assert (data.name, split) == ("sample", "all")
    assert [target.id for target in few] == [target.id for target in many][:3]
    assert [target.id for target in many] == sorted(target.id for target in many)


def test_a_file_is_asked_from_its_report_split(tmp_path: Path) -> None:
    file = tmp_path / "tiny.jsonl"
    row = {"user_id": "bo", "topic_id": "sea", "title": "Two nights", "text": "I slept."}
    file.write_text(json.dumps(row))
    assert len(read_requests(ComparisonPlan(data=file, split="all"))[1]) == 1
    with pytest.raises(NoTargets):
        read_requests(ComparisonPlan(data=file, split="gate"))


def test_a_failed_draft_is_shown_and_only_failures_are_an_error(
    model: ScriptedChat, tmp_path: Path, kept: Kept
) -> None:
    model.fault = lambda asked: ValueError("out of words") if asked.role == "style" else None
    found = compared("--modes", "none,summaries", *kept)
    none, summaries = found["requests"][0]["drafts"]
    assert none["failed"] is None and "out of words" in summaries["failed"]
    model.fault = lambda asked: ValueError("out of words")
    lost = call("compare", "--limit", 1, "--html", tmp_path / "p.html", *kept)
    assert lost.exit_code == 1 and "out of words" in lost.stderr.splitlines()[-1]
    assert not (tmp_path / "p.html").exists()


@pytest.mark.parametrize(
    ("more", "says", "code"),
    [
        (["--modes", "none,nonsense"], "nonsense", 2),
        (["--modes", "copy_best"], "copy_best", 2),
        (["--data", "nowhere.jsonl"], "nowhere.jsonl", 1),
        (["--task", "rating", "--data", "no_ratings.jsonl"], "rating", 1),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    more: list[str], says: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("no_ratings.jsonl").write_text(json.dumps({"user_id": "bo", "text": "I slept."}))
    assert_one_line(call("compare", *more), says, code=code)


def test_nothing_of_the_data_is_kept_but_in_the_files_that_are_asked_for(tmp_path: Path) -> None:
    page, text = tmp_path / "page.html", tmp_path / "page.md"
    before = set(tmp_path.rglob("*"))
    assert call("compare", "--limit", 1, "--html", page, "--markdown", text).exit_code == 0
    kept = [path for path in set(tmp_path.rglob("*")) - before if path.is_file()]
    assert set(kept) == {page, text}
    cache = tmp_path / "stores"
    assert call("compare", "--limit", 1, "--html", page, "--cache", cache).exit_code == 0
    assert any(cache.rglob("*.lance"))


def test_texts_are_no_marks_on_the_pages(tmp_path: Path, kept: Kept) -> None:
    page, text = tmp_path / "page.html", tmp_path / "page.md"
    call("compare", "--limit", 1, "--html", page, "--markdown", text, *kept)
    html, markdown = page.read_text("utf-8"), text.read_text("utf-8")
    assert "A &lt;b&gt;fine&lt;/b&gt; view." in html and "<script" not in html
    assert "They like &lt;i&gt;it&lt;/i&gt;." in html
    for shown in (html, markdown):
        assert r"x1b" in shown and not set(shown) & set("\x1b\u202e")
    assert "> \\# No \\*heading\\*\n> 1\\. " in markdown
    assert "> Short &amp; plain.\n" in markdown


def test_the_page_fits_a_phone_and_a_desk(tmp_path: Path, kept: Kept) -> None:
    page = tmp_path / "page.html"
    call("compare", "--limit", 2, "--html", page, *kept)
    with chromium() as browser:
        for width in (PHONE, DESKTOP):
            with opened(browser, page, width) as shown:
                assert shown.width <= width
                assert shown.complaints == [] and shown.requests == [page.as_uri()]
                style = "getComputedStyle(document.querySelector('.modes'))"
                columns = str(shown.run(f"{style}.gridTemplateColumns")).split()
                side_by_side = len([each for each in columns if each != "0px"])
                assert side_by_side == (1 if width == PHONE else 4)
                assert shown.run("document.querySelectorAll('.modes > section').length") == 8
