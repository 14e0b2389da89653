"""Whatever a command is given, it ends with exit code 0, or with one line and its exit code."""

import asyncio
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from commands import commands, kind_of
from fakes import ScriptedChat
from fuzzing import EACH, run_examples
from hypothesis import strategies as st
from patlm.graph import Personalizer
from patlm.graph import open as opening
from planted import write_planted
from processes import call
from store_fixtures import cheap_encoders

MODEL = "python:fakes:scripted"
NEVER = {"--serve", "--ray", "--train"}
"""Options that serve until they are stopped, start other processes, or train."""
LONG = {"demo", "rounds", "train", "train-encoder"}
"""Commands that take minutes where all they are given is right: they get one wrong value."""

GOOD: dict[str, list[object]] = {
    "--user": ["ana", "person 1 of many"],
    "user": ["ana", "person 2 of many"],
    "--topic": ["sea", "lamp"],
    "--title": ["A lamp"],
    "--text": ["A text of mine."],
    "--model": [MODEL, "python:fakes:refusing"],
    "--task": ["long", "short", "rating", "free"],
    "--mode": ["both", "sequential"],
    "--modes": ["none,quoted", "both"],
    "--arms": ["no_context,both", "floors"],
    "--sides": ["style", "style,preference"],
    "--style": ["aligned", "own_history"],
    "--format": ["jsonl", "csv"],
    "--map": ["user=user_id"],
    "--split": ["all", "train"],
    "--history": ["none", "all"],
    "--language": ["en"],
    "--budget": ["small", "auto"],
    "--adapters": ["none", "A"],
    "--namespace": ["default", "acme"],
    "--rating-scale": ["1-5", "0-10"],
    "role": ["style"],
    "name": ["style@1", "smollm2-135m"],
}
PLACES = ["data.jsonl", "S", "T", "nothing", "folder", "folder/letter.txt", "S/texts.lance", "."]
PLACES += ["new/deep/file.html", "x.parquet", "x.png", "page.md", "data.jsonl/below"]

NO_SLASH = st.text(
    st.characters(exclude_characters="/\\~\x00", exclude_categories=()), min_size=0, max_size=30
)
"""Words that name no place outside of the folder; no argument of a program has a zero byte."""
NUMBERS = st.sampled_from(["0", "1", "2", "-1", "1.5", "nan", "inf", "x", "", "1e3", "９", "1_0"])


def value_of(option: Any) -> st.SearchStrategy[str]:
    """Return values of an option or argument: good ones, ones of its kind, and any words."""
    name, kind = option.opts[0], kind_of(option)
    if "int" in kind or "float" in kind:
        return st.one_of(NUMBERS, NUMBERS, NO_SLASH)
    good = [str(each) for each in GOOD.get(name, [])]
    if "Path" in kind or name in ("--store", "--trace", "--edited", "--cache"):
        good += PLACES
    some = st.sampled_from(good) if good else NO_SLASH
    return st.one_of(some, some, NO_SLASH)


def option_words(option: Any) -> st.SearchStrategy[list[str]]:
    name = option.opts[0]
    if not name.startswith("-"):
        return value_of(option).map(lambda value: [value])
    if getattr(option, "is_flag", False):
        return st.just([name])
    return value_of(option).map(lambda value: [name, value])


def words_of(command: str, made: Any) -> st.SearchStrategy[list[str]]:
    """Return calls of a command; what it needs is mostly there."""
    options = [each for each in made.params if each.opts[0] not in NEVER]
    needed = [option_words(each) for each in options if each.required]
    free = [option_words(each) for each in options if not each.required]
    some = st.lists(st.one_of(*free, NO_SLASH.map(lambda word: [word])), max_size=4)
    last = ["--json=maybe"] if command.split()[0] in LONG or is_long_bench(command) else []
    return st.builds(
        lambda first, more, left_out: [
            *command.split(),
            *(word for part in [*first[left_out:], *more] for word in part),
            *last,
        ],
        st.tuples(*needed),
        some,
        st.sampled_from([0, 0, 0, 1]),
    )


def is_long_bench(command: str) -> bool:
    return command.startswith("bench") and command not in ("bench personalization", "bench report")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data file, a store, records of runs, and something else."""
    folder = tmp_path_factory.mktemp("fuzz-cli") / "whole"
    folder.mkdir()
    write_planted(folder / "data.jsonl", people=6)
    (folder / "folder").mkdir()
    (folder / "folder" / "letter.txt").write_text("Dear all,")

    async def fill() -> None:
        async with Personalizer(
            folder / "S", model=ScriptedChat(), trace=folder / "T", share=True
        ) as app:
            await app.add("ana", "By the sea.", topic_id="sea")
            await app.add("bo", "At the sea.", topic_id="sea")
            await app.awrite("ana", title="Two nights", topic_id="sea", max_iterations=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_encoders", cheap_encoders)
        asyncio.run(fill())
    return folder


REPORTS = ("doctor", "episodes")


@EACH
def test_commands(
    whole: Path, sample_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    monkeypatch.setattr(socket, "getaddrinfo", socket_is_shut)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CACHE", "DATA", "STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    for name, value in (
        ("PATLM_CACHE", str(sample_cache)), ("PATLM_MODEL", MODEL),
        ("PIP_NO_INDEX", "1"), ("HF_HUB_OFFLINE", "1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    here = tmp_path / "one" / "two" / "here"

    def run(words: list[str]) -> None:
        shutil.rmtree(here.parent, ignore_errors=True)
        shutil.copytree(whole, here)
        monkeypatch.chdir(here)
        result = call(*words)
        said = [line for line in result.stderr.splitlines() if line.startswith("patlm: ")]
        if result.exit_code == 0:
            if "--json" in words and not {"--help", "-h"} & set(words):
                json.loads(result.stdout)
        else:
            assert isinstance(result.exception, SystemExit), (words, result.exception)
            told = len(said) == 1 and len(said[0]) < 4_000
            # The reports of `doctor` and `episodes check` say what is wrong.
            told = told or (result.exit_code == 1 and words[0] in REPORTS and result.stdout)
            assert result.exit_code in (1, 2) and told, (words, result.output)
        assert "Traceback" not in result.output, words

    every = st.one_of(*(words_of(*each) for each in commands()))
    run_examples("commands", many, every, run)


def socket_is_shut(host: Any, *_: Any, **__: Any) -> Any:
    raise OSError(101, "Network is unreachable", str(host))
