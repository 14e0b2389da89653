"""Every claim about a provider in docs/remote.md names a test, and the test is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "remote.md").read_text(encoding="utf-8")
TESTS = "\n".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "models" / "remote").glob("*.py")
)
PROVIDERS = re.compile(r"OpenAI|Anthropic|Google|Mistral|Ollama|DeepSeek|Qwen|vLLM|llama\.cpp|GPT")


def claims(page: str) -> list[str]:
    """Return the rows of the table of providers."""
    section = page.split("## Providers\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return rows[2:]  # after the heading


def unheld(page: str) -> list[str]:
    """Return the claims that name no test, or one that is not there."""
    missing = []
    for claim in claims(page):
        named = re.findall(r"`(test_\w+)`", claim.rsplit("|", 2)[1])
        if not named or not all(f"def {name}(" in TESTS for name in named):
            missing.append(claim)
    return missing


def outside(page: str) -> list[str]:
    """Return what other sections say of a provider, but for how to install and name its models."""
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    sections = [part for part in text.split("\n## ") if not part.startswith("Providers\n")]
    lines = [line for part in sections for line in part.splitlines()]
    allowed = ("The second form reaches", "| `PATLM_BASE_URL`", "| `no_repeat_ngram_size`,")
    return [line for line in lines if PROVIDERS.search(line) and not line.startswith(allowed)]


def test_every_claim_about_a_provider_names_a_test_that_is_there() -> None:
    assert len(claims(PAGE)) >= 15
    assert not unheld(PAGE)


def test_claims_stand_in_their_table() -> None:
    assert not outside(PAGE)


@pytest.mark.parametrize(
    "claim",
    ["| Ollama | is fast | |", "| Ollama | is fast | `test_that_nobody_wrote` |"],
)
def test_a_claim_without_a_test_is_seen(claim: str) -> None:
    lines = PAGE.splitlines()
    place = lines.index(claims(PAGE)[0])
    assert unheld("\n".join([*lines[:place], claim, *lines[place:]])) == [claim]
    assert outside(f"{PAGE}\nOllama is fast.\n") == ["Ollama is fast."]
