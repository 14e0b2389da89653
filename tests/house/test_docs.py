"""The docs name every command, option, setting and public name, and nothing that does not exist."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import patlm.graph
import pytest
import typer.main
from patlm.cli.main import app
from patlm.evaluation.arms.registry import ARMS
from patlm.evaluation.scores.metrics import METRICS
from patlm.graph import Settings
from patlm.stores.datasets.formats import FORMATS
from patlm.training.methods import METHODS
from typer.core import TyperGroup, TyperOption

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
_KINDS = {"main": "", "control": "control: ", "floor": "floor: "}
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


def test_every_file_format_is_described() -> None:
    missing = [name for name in FORMATS if f"| `{name}` |" not in PAGES["data.md"]]
    assert not missing, f"not in docs/data.md: {', '.join(missing)}"


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


def not_in_docs() -> list[str]:
    """Return the entries of registries that the documents do not name."""
    rows = [f"| `{arm.name}` | {_KINDS[arm.kind]}{arm.says} |" for arm in ARMS.values()]
    missing = [row for row in rows if row not in PAGES["benchmark.md"]]
    missing += [name for name in METRICS if not mentions(name, PAGES["benchmark.md"])]
    for name, method in METHODS.items():
        batches = [f"{name} {batch} x {steps}" for batch, steps in method.batches.values()]
        said = [f"| `{name}`", *batches]
        missing += [each for each in said if each not in PAGES["training.md"]]
    return missing


def test_every_entry_of_a_registry_is_mentioned() -> None:
    assert not not_in_docs()


def test_an_entry_that_the_documents_do_not_name_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "shouts", replace(METRICS["exact"], name="shouts"))
    monkeypatch.setitem(ARMS, "copy_loudest", replace(ARMS["copy_best"], name="copy_loudest"))
    monkeypatch.setitem(METHODS, "ppo", replace(METHODS["dpo"], name="ppo"))
    row = "| `copy_loudest` | floor: the best neighbour's text |"
    assert not_in_docs() == [row, "shouts", "| `ppo`", "ppo 4 x 2", "ppo 16 x 2"]


def test_every_setting_is_mentioned() -> None:
    missing = [f"PATLM_{name.upper()}" for name in Settings.model_fields]
    missing = [name for name in missing if not mentions(name)]
    assert not missing, f"not in README.md or docs/: {', '.join(missing)}"


def test_the_readmes_example_is_the_one_that_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    example = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    assert [block.strip() for block in blocks] == [example.strip()]


def pages() -> dict[str, str]:
    """Return the text of every page by its path below the root."""
    top = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
    found = [*(ROOT / name for name in top), *(ROOT / "docs").rglob("*.md")]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in found}


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_links_between_pages_resolve() -> None:
    broken = []
    for name, text in pages().items():
        links = re.findall(r"\]\((?!https?:)([^)]+)\)", text)
        for link in links + re.findall(r'click \w+ href "([^"]+)"', text):
            target, _, anchor = link.partition("#")
            path = (ROOT / name).parent / target if target else ROOT / name
            if not path.exists() or (
                anchor and anchor not in anchors(path.read_text(encoding="utf-8"))
            ):
                broken.append(f"{name}: {link}")
    assert not broken, ", ".join(broken)


PLACES = "stores models nodes graph evaluation training bench apps cli tests tools examples docs"


def test_files_that_pages_name_are_there() -> None:
    named = re.compile(rf"`((?:{PLACES.replace(' ', '|')})/[\w./-]*)(?:::(\w+))?`")
    wrong = []
    for name, text in pages().items():
        for place, test in named.findall(text):
            path = ROOT / place
            if not path.exists() or (test and f"def {test}(" not in path.read_text("utf-8")):
                wrong.append(f"{name}: {place}{'::' if test else ''}{test}")
    assert not wrong, ", ".join(wrong)


def test_every_rule_of_the_architecture_page_names_its_test() -> None:
    page = PAGES["architecture.md"].split("## What must not be undone")[1]
    rules = re.findall(r"^\|(.+)\|$", page, flags=re.MULTILINE)
    rules = [rule for rule in rules if not rule.startswith(("---", " rule |"))]
    assert len(rules) > 20
    bare = [rule for rule in rules if "::test_" not in rule and not rule.endswith("| review ")]
    assert not bare, bare


def test_the_variables_that_docs_name_are_no_places_of_one_machine() -> None:
    assert not re.findall(r"/(?:home|root|work|Users)/\S+", ALL)
