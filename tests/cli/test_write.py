"""`patlm write`: the whole draft on any console, while it is generated, and nothing dangerous."""

import asyncio
import json
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedChat
from langchain_core.outputs import ChatGenerationChunk
from patlm.cli import output as console
from patlm.cli.main import app
from patlm.graph import open as opening
from processes import HANG_SECONDS, call
from store_fixtures import cheap_encoders
from typer.testing import CliRunner

DRAFT = " ".join(f"word{number}" for number in range(1, 75)) + " end."
ESCAPES = "Nice \x1b[2J\x1b[31mbread\x1b]52;c;cm0gLXJm\x07 and \u202ehguod\x9b1m [bold]here[/bold]"


class GatedChat(ScriptedChat):
    """Streams the first word of a draft, and the rest once `seen` is set.

    Attributes:
        seen: The reader has seen the first word.
    """

    seen: Any

    async def _astream(self, *args: Any, **options: Any) -> AsyncIterator[ChatGenerationChunk]:
        first = True
        async for chunk in super()._astream(*args, **options):
            yield chunk
            if first and str(chunk.message.text) == "word1 ":
                assert await asyncio.to_thread(self.seen.wait, 20), "the first word was not shown"
            first = False


class Terminal:
    """A pseudo-terminal as stdout and stderr; what is written to it is in `text`."""

    def __init__(self) -> None:
        self.text = ""
        self._master, slave = os.openpty()
        self.file = os.fdopen(slave, "w", encoding="utf-8")
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # the other end is closed
            while piece := os.read(self._master, 4096):
                with self._arrived:
                    self.text += piece.decode(errors="replace").replace("\r\n", "\n")
                    self._arrived.notify_all()

    def run(self, arguments: Sequence[str]) -> None:
        """Run `patlm ...` with this terminal."""
        with redirect_stdout(self.file), redirect_stderr(self.file):
            app(arguments, standalone_mode=False)

    def wait_for(self, part: str) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: part in self.text, HANG_SECONDS)

    def close(self) -> None:
        self.file.close()
        self._reader.join(HANG_SECONDS)
        os.close(self._master)


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    monkeypatch.setenv("PATLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATLM_MODEL", "python:fakes:scripted")  # not converted; `use` opens another
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ScriptedChat:
    """The model of all commands; its draft has 75 words."""
    return use(monkeypatch, ScriptedChat(says=says(DRAFT)))


def use(monkeypatch: pytest.MonkeyPatch, chat: ScriptedChat) -> ScriptedChat:
    @contextmanager
    def opened(*_: object, **__: object) -> Iterator[ScriptedChat]:
        yield chat

    monkeypatch.setattr(opening, "open_chat", opened)
    return chat


def says(draft: Any) -> dict[str, Any]:
    return {"style": "Short.", "preference": "They like it.", "integrate": draft}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ingested")
    file, uri = folder / "t[red]exts.jsonl", folder / "store"
    rows = [
        {"user_id": "bo", "topic_id": "sea", "text": ESCAPES},
        {"user_id": "dee", "topic_id": "sea", "text": "Of the view they say nothing."},
        {"user_id": "cy", "topic_id": "hut", "text": "Café, très bon \u2615!"},
        {"user_id": "ana", "topic_id": "hut", "text": "Lovely!! Slept like a log."},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_encoders", cheap_encoders)
        told = call("ingest", file, "--store", uri)
    assert file.name in told.stdout, "a file's name is no markup"
    return uri


@pytest.fixture
def store(ingested: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(ingested, tmp_path / "store"))


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    opened = Terminal()
    yield opened
    opened.close()


def words(store: str, *more: object) -> list[str]:
    asked = ("--user", "ana", "--topic", "sea", "--title", "Two nights")
    return [str(word) for word in ("write", "--store", store, *asked, *more)]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_whole_draft_is_shown_at_any_width_and_in_a_pipe(
    model: ScriptedChat, store: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shown in (console.stdout, console.stderr):
        monkeypatch.setattr(shown, "width", width)
    assert DRAFT in call(*words(store)).stdout.splitlines()
    assert call(*words(store, "--quiet")).stdout == f"{DRAFT}\n"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_whole_draft_is_shown_on_a_terminal(
    model: ScriptedChat,
    store: str,
    width: int,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for shown in (console.stdout, console.stderr):
        monkeypatch.setattr(shown, "width", width)
        monkeypatch.setattr(shown, "is_interactive", True)  # rich looks when it is imported
    terminal.run(words(store))
    terminal.wait_for("stopped:")
    assert DRAFT in terminal.text
    assert "integrate" in terminal.text, "the node at work"


def test_the_first_token_is_seen_before_the_last_is_made(
    store: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = threading.Event()
    use(monkeypatch, GatedChat(says=says(DRAFT), seen=seen))

    def look() -> None:
        terminal.wait_for("word1")
        seen.set()

    threading.Thread(target=look, daemon=True).start()
    terminal.run(words(store, "--iterations", 1))
    terminal.wait_for("stopped:")
    assert terminal.text.count(DRAFT) == 1


def test_the_kept_draft_stands_last(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first draft agrees with what the others say, the second one with nothing.
    use(monkeypatch, ScriptedChat(says=says(["They like it.", "Zzz 123."])))
    text, end = call(*words(store)).stdout.rsplit("\n\n", 1)
    assert [line for line in text.splitlines() if line] == [
        "They like it.", "draft 2:", "Zzz 123.", "kept:", "They like it.",
    ]  # fmt: skip
    assert end.startswith("cut:")


def test_the_text_is_shown_as_it_is_kept(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ScriptedChat(says=says('"A fine view."')))
    shown = call(*words(store, "--iterations", 1)).stdout
    assert shown.startswith("A fine view.\n") and shown.count("A fine view.") == 1


def test_what_was_borrowed_and_abstained_is_told(model: ScriptedChat, store: str) -> None:
    model.says = {**model.says, "style": "NOTHING"}
    shown = call(*words(store)).stdout
    lines = dict(line.split(":", 1) for line in shown.splitlines() if ":" in line)
    assert {"cut", "borrowed", "abstained"} <= set(lines)
    (preference,) = [each for each in lines["borrowed"].split(";") if "preference from" in each]
    assert "bo" in preference and "dee" in preference


def test_details_show_summaries_and_evidence(model: ScriptedChat, store: str) -> None:
    plain, full = call(*words(store)).stdout, call(*words(store, "--details")).stdout
    for part in ("They like it.", "Slept like a log", "[bold]here[/bold]"):
        assert part in full and part not in plain


@pytest.mark.parametrize("more", [[], ["--details"], ["--quiet"]])
def test_control_characters_are_made_visible(
    store: str, more: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, ScriptedChat(says=says(ESCAPES)))
    monkeypatch.setenv("PATLM_COPIED_WORDS", "0")  # it repeats a text of the store
    trace = tmp_path / "traces"
    result = call(*words(store, "--trace", trace, *more))
    printed = [result.stdout + result.stderr, call("show", trace).stdout]
    printed.append(call("retrieve", *words(store)[1:]).stdout)
    for text in printed:
        assert r"\x1b[2J" in text and r"\u202e" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e")


@pytest.mark.parametrize("charset", ["ascii", "cp1252"])
@pytest.mark.parametrize("more", [["--details"], ["--quiet"], ["--json"]])
def test_a_console_of_another_encoding_shows_what_it_can(
    store: str, charset: str, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, ScriptedChat(says=says("Un café ☕ pour Ωmar.")))
    result = CliRunner(charset=charset).invoke(app, words(store, *more))
    assert (result.exit_code, result.exception) == (0, None)
    if "--json" in more:
        assert result.stdout.isascii()
        assert json.loads(result.stdout)["text"] == "Un café ☕ pour Ωmar."
    else:
        cafe = "café" if charset == "cp1252" else r"caf\xe9"
        assert rf"Un {cafe} \u2615 pour \u03a9mar." in result.stdout
