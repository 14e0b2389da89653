"""The documents name what there is, and nothing that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import patlm.graph
import typer.main
from patlm.cli.main import app
from patlm.graph import Settings
from typer.core import TyperGroup, TyperOption

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
ALL = "\n".join([README, *PAGES.values()])


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command by the words that call it."""

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(command, TyperGroup):
            for child, found in command.commands.items():
                yield from below(f"{name} {child}", found)
        else:
            yield name, command

    yield from below("patlm", typer.main.get_command(app))


def options(command: Any) -> set[str]:
    return {
        name
        for parameter in command.params
        if isinstance(parameter, TyperOption)
        for name in parameter.opts
        if name.startswith("--")
    }


def mentions(name: str, text: str = ALL) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def test_all_commands_are_looked_at() -> None:
    found = dict(commands())
    assert {"patlm demo", "patlm bench loop", "patlm models list"} <= set(found)
    assert {"--user", "--k", "--json"} <= options(found["patlm write"])


def test_every_command_and_option_is_mentioned() -> None:
    missing = [name for name, _ in commands() if not mentions(name)]
    missing += [
        f"{name} {option}"
        for name, command in commands()
        for option in sorted(options(command) - {"--help"})
        if not mentions(option)
    ]
    assert not missing, f"not in README.md or docs/: {', '.join(missing)}"


def test_no_option_is_mentioned_that_is_not_there() -> None:
    there = {option for _, command in commands() for option in options(command)} | {"--help"}
    page = PAGES["cli.md"]
    said = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page))
    assert not said - there, f"docs/cli.md names {', '.join(sorted(said - there))}"
    called = set(re.findall(r"`(patlm(?: [a-z][a-z-]*)+)", page))
    known = {name for name, _ in commands()}
    wrong = [call for call in called if not any(call.startswith(name) for name in known)]
    assert not wrong, f"docs/cli.md calls {', '.join(wrong)}"


def test_every_public_name_of_the_graph_is_mentioned() -> None:
    missing = [name for name in patlm.graph.__all__ if not mentions(name)]
    assert not missing, f"not in README.md or docs/: {', '.join(missing)}"


def test_every_setting_is_mentioned() -> None:
    missing = [f"PATLM_{name.upper()}" for name in Settings.model_fields]
    missing = [name for name in missing if not mentions(name)]
    assert not missing, f"not in README.md or docs/: {', '.join(missing)}"


def test_the_readmes_example_is_the_one_that_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    example = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    assert [block.strip() for block in blocks] == [example.strip()]


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{name}: {target}"
        for name, text in {
            "README.md": README,
            **{f"docs/{k}": v for k, v in PAGES.items()},
        }.items()
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        if not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert not broken, ", ".join(broken)


def test_the_variables_that_docs_name_are_no_places_of_one_machine() -> None:
    assert not re.findall(r"/(?:home|root|work|Users)/\S+", ALL)
