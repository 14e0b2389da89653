"""A wrong value of any option is wrong usage: exit code 2, one line, nothing written or loaded.

All commands are walked, so an option that comes new has to be put into one of the tables below.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import commands, kind_of
from processes import call

WRONG = {
    "--adapters": "nobody",
    "--against": "nobody",
    "--arms": "nobody",
    "--budget": "huge",
    "--clean": "nothing",
    "--dtype": "fp3",
    "--encoding": "latin-99",
    "--format": "xml",
    "--history": "some",
    "--language": "!!",
    "--map": "user=nobody",
    "--method": "magic",
    "--mode": "loud",
    "--modes": "loud",
    "--namespace": "",
    "--plot": "plot.xyz",
    "--preference": "nobody",
    "--rating-scale": "best",
    "--reasoner": "nobody",
    "--role": "nobody",
    "--report-to": "nobody",
    "--rollouts": "nobody",
    "--schedule": "sometimes",
    "--seeds": "one",
    "--sides": "third",
    "--since": "soon",
    "--split": "middle",
    "--stages": "nothing",
    "--style": "nobody",
    "--task": "poem",
    "--texts": "many",
}
"""A wrong value of each option that takes one of a list, or a form."""

ANYTHING = {
    *("--base-url", "--edited", "--instruction", "--judge", "--model", "--parent"),
    *("--run", "--store", "--style-encoder", "--text", "--title", "--topic", "--trace", "--user"),
}
"""Options of words that take anything: ids, texts, names of models, places."""

LEAST = {
    **{"--k": 1, "--max-tokens": 1, "--iterations": 1, "--deadline": 0.001, "--temperature": 0.001},
    **{"--epochs": 0.001, "--steps": 0, "--batch": 1, "--accumulation": 1, "--warmup": 0},
    **{
        "--learning-rate": 1e-9,
        "--beta": 0,
        "--answer-tokens": 1,
        "--candidates": 2,
        "--margin": 0,
    },
    **{"--pairs-per-group": 1, "--length-ratio": 1, "--abstain-share": 0},
    **{"--copy-limit": 0.001, "--save-every": 1, "--processes": 0, "--examples": 1, "--seed": 0},
}
"""The least number of options that do not declare it to typer; it is checked where it is used."""

ANY_NUMBER = {"--gate-margin"}


def wrong_values() -> Iterator[tuple[str, str, str]]:
    for command, made in commands():
        for option in made.params:
            name = option.opts[0]
            if getattr(option, "is_flag", False) or not name.startswith("-"):
                continue
            kind = kind_of(option)
            if "int" in kind or "float" in kind:
                yield command, name, "x"
                least = getattr(option, "min", None)
                least = LEAST[name] if least is None and name not in ANY_NUMBER else least
                if least is not None:
                    yield command, name, str(least - 1)
                if "float" in kind:
                    yield command, name, "nan"
                    yield command, name, "inf"
            elif name in WRONG:
                place = "Path" in kind and name != "--plot"
                if not place:
                    yield command, name, WRONG[name]
            else:
                assert "Path" in kind or name in ANYTHING, f"put {name} into a table"


ALL = list(wrong_values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("options")
    rows = [
        {"user_id": f"user_{n % 9}", "text": f"Text {n}, of a person.", "topic": f"t{n % 5}"}
        for n in range(60)
    ]
    lines = [json.dumps({**row, "title": f"Title {n}"}) + "\n" for n, row in enumerate(rows)]
    (folder / "a.jsonl").write_text("".join(lines))
    (folder / "trace").mkdir()
    return folder


def right_words(command: str, folder: Path) -> list[object]:
    """Return arguments with which a command starts."""
    data, store, out = folder / "a.jsonl", ("--store", folder / "store"), ("--out", folder / "out")
    bench = ["--data", data]
    asked = ["--user", "u", "--title", "x"]
    given: dict[str, list[object]] = {
        "ingest": [data, *store],
        "write": asked,
        "retrieve": asked,
        "view": [folder / "trace", "--html", folder / "page.html"],
        "feedback": [folder / "trace", "--run", "x", "--accepted"],
        "forget": ["--user", "u", *store],
        "train": ["--role", "style", "--episodes", folder / "trace", *out],
        "train-encoder": [*store, *out],
        "collect": ["--data", data, *out],
        "rounds": ["--data", data, *out],
        "index": [*store],
        "reembed": [*store],
        "texts list": ["u", *store],
        "texts remove": ["u", "1", *store],
        "episodes show": [folder / "trace"],
        "episodes export": [folder / "trace", "--to", folder / "x.parquet"],
        "bench personalization": ["--data", data, *out],
        "bench training": ["--episodes", folder / "trace"],
        **{f"bench {name}": bench for name in ("encoder", "evidence", "graph", "serving")},
    }
    return given.get(command, [])


@pytest.mark.parametrize(("command", "made"), list(commands()), ids=lambda each: str(each)[:40])
def test_the_help_shows_the_default_that_holds(command: str, made: Any) -> None:
    shown = " ".join(call(*command.split(), "--help").stdout.split())
    options = shown.partition("Options:")[2]
    assert "list[" not in options, "a type of Python says nothing to its reader"
    for option in made.params:
        default = option.default
        if option.opts[0].startswith("-") and isinstance(default, int | float | str) and default:
            written = f"default: {default}"
            assert default is True or written in shown or "default: (" in shown, option.opts
    if command == "retrieve":
        assert "[default: 4]" in shown
    if command == "feedback":
        assert "sample corpus" not in shown


@pytest.mark.parametrize("command", sorted({command for command, *_ in ALL}))
def test_a_wrong_value_of_an_option_is_wrong_usage(
    folder: Path, subtests: pytest.Subtests, command: str
) -> None:
    before = sorted(folder.rglob("*"))
    for option, value in [(option, value) for name, option, value in ALL if name == command]:
        with subtests.test(option=option, value=value):
            result = call(*command.split(), *right_words(command, folder), option, value)
            assert isinstance(result.exception, SystemExit), result.exception
            assert (result.exit_code, result.stdout) == (2, ""), result.output
            assert sorted(folder.rglob("*")) == before


# A tenant may be called by any long name.
OPTIONS = sorted({(command, option) for command, option, _ in ALL if option != "--namespace"})


@pytest.mark.parametrize("command", sorted({command for command, _ in OPTIONS}))
def test_a_huge_value_is_not_repeated_in_full(
    folder: Path, subtests: pytest.Subtests, command: str
) -> None:
    for option in [option for name, option in OPTIONS if name == command]:
        for value in ("x" * 20_000, "x y " * 5_000, "9" * 5_000):
            if value[0] == "9" and option in ("--seeds", "--history", "--texts"):
                continue  # a number
            with subtests.test(option=option, value=value[:4]):
                result = call(*command.split(), *right_words(command, folder), option, value)
                assert isinstance(result.exception, SystemExit), result.exception
                assert result.exit_code == 2 and len(result.stderr) < 5_000


@pytest.mark.parametrize("value", ["x" * 20_000, "x y " * 5_000], ids=["word", "words"])
@pytest.mark.parametrize(
    "words",
    [
        "VALUE",
        "show VALUE",
        "stats --store VALUE",
        "ingest VALUE --store s",
        "write --user u --title x --model VALUE",
        "feedback . --accepted --run VALUE",
        "episodes show . --run VALUE",
        "adapters show VALUE",
        "adapters rollback VALUE",
        "models remove VALUE",
        "bench report VALUE",
    ],
)
def test_no_message_repeats_a_huge_value_in_full(words: str, value: str, folder: Path) -> None:
    result = call(*[value if word == "VALUE" else word for word in words.split()])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2) and len(result.stderr) < 5_000
