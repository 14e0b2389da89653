"""The extras of pyproject.toml and the table by which a missing one is named agree."""

import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from patlm.models.errors import MissingExtra, ModelNotFound
from patlm.models.extras import EXTRAS, missing_extra, needed_for

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
HEAVY = {"torch", "transformers", "peft", "sentence-transformers", "scipy", "scikit-learn", "trl"}


def names(requirements: list[str]) -> set[str]:
    """Return the distributions of some requirements, without patlm's own extras."""
    found = {re.split(r"[\[<>=!~;\s]", each)[0] for each in requirements}
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found} - {"patlm"}


@pytest.fixture(scope="module")
def installed() -> Mapping[str, list[str]]:
    """The distributions of each package that can be imported."""
    return packages_distributions()


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_the_table_names_what_the_extra_installs(
    extra: str, installed: Mapping[str, list[str]]
) -> None:
    required = names(PROJECT["optional-dependencies"][extra])
    for package in EXTRAS[extra]:
        assert required & names(installed.get(package, [])), f"{package} is not of [{extra}]"
    known = {name for package in EXTRAS[extra] for name in installed.get(package, [])}
    assert required <= names(sorted(known)), f"[{extra}] has packages that the table lacks"


def test_the_core_brings_no_model_library() -> None:
    assert not names(PROJECT["dependencies"]) & HEAVY
    assert {"torch", "transformers", "peft"} < names(PROJECT["optional-dependencies"]["local"])


def test_a_missing_package_is_one_line_that_names_its_extra() -> None:
    with pytest.raises(MissingExtra) as raised, needed_for("the model 'x'"):
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")
    assert isinstance(raised.value, ModelNotFound)
    said = str(raised.value)
    assert "the model 'x'" in said and "pip install 'patlm[local]'" in said and "\n" not in said


def test_a_fault_of_our_own_is_no_missing_extra() -> None:
    fault = ImportError("no such name", name="patlm.models")
    with pytest.raises(ImportError) as raised, needed_for("this"):
        raise fault
    assert raised.value is fault
    assert missing_extra(ImportError("cannot import name")) is None


def test_a_chain_of_import_errors_is_followed() -> None:
    error = ImportError("Could not import langchain_openai")
    error.__cause__ = ModuleNotFoundError("No module", name="langchain_openai")
    found = missing_extra(error, "'openai:x'")
    assert found is not None and "patlm[remote]" in str(found)
