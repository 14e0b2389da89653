"""Settings: what does not exist is refused by name, and roles have models of their own."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import ScriptedChat
from patlm.graph import Personalizer, Settings
from patlm.graph.encoders import Encoders
from patlm.graph.open import open_chat
from patlm.graph.settings import OTHER_VARIABLES, ROLES
from patlm.nodes.errors import LoopError, RequestError, SettingsError
from patlm.stores.values import RatingScale
from raising import raises
from store_fixtures import style_encoder, topic_encoder

ROOT = Path(__file__).parents[2]
REFUSING = "python:fakes:refusing"
SCRIPTED = "python:fakes:scripted"


@asynccontextmanager
async def no_store(*_: Any, **__: Any) -> AsyncIterator[tuple[Any, Encoders]]:
    yield SimpleNamespace(rating_scale=RatingScale()), Encoders(style_encoder(), topic_encoder())


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("PATLM_MODLE", "PATLM_MODEL"),
        ("PATLM_MODEL_STLYE", "PATLM_MODEL_STYLE"),
        ("PATLM_TRACES", "PATLM_TRACE"),
        ("PATLM_CASH", "PATLM_CACHE"),
        ("patlm_stor", "PATLM_STORE"),
    ],
)
def test_a_variable_that_does_not_exist_is_refused(
    name: str, near: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")
    with raises(SettingsError, "invalid_settings", name, repr(near)) as raised:
        Settings()
    assert isinstance(raised.value, LoopError)
    with pytest.raises(SettingsError):
        Personalizer(model=ScriptedChat())


def test_a_variable_like_no_other_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATLM_XYZZY", "1")
    with raises(SettingsError, "invalid_settings", "PATLM_XYZZY", "PATLM_STORE"):
        Settings()


def test_variables_that_others_read_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OTHER_VARIABLES:
        monkeypatch.setenv(name, os.environ.get(name, "x"))
    assert Settings().store is None


def test_every_variable_in_the_project_is_known() -> None:
    """Whoever reads a new variable must enter it in the list."""
    known = {f"PATLM_{name.upper()}" for name in Settings.model_fields} | set(OTHER_VARIABLES)
    folders = [each for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith(".")]
    folders = [each for each in folders if each.name not in ("build", "tests")]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    files += [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "Makefile"]
    assert len(files) > 100
    found = {name for path in files for name in re.findall(r"PATLM_[A-Z_]*[A-Z]", path.read_text())}
    assert not found - known - {"PATLM_"}


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ({"modle": "x"}, "model"),
        ({"stor": "x"}, "store"),
        ({"role": {}}, "roles"),
        ({"base_ulr": "x"}, "base_url"),
        ({"roles": {"stile": ScriptedChat()}}, "style"),
        ({"roles": {"integrated": "openai:small"}}, "integrate"),
    ],
)
def test_a_keyword_or_role_that_does_not_exist_is_refused(given: dict[str, Any], near: str) -> None:
    with raises(SettingsError, "invalid_settings", repr(near)):
        Personalizer(**given)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ({"titel": "A lamp"}, "title"),
        ({"topic": "lamp"}, "topic_id"),
        ({"deadline": 1}, "deadline_s"),
        ({"user": "ben"}, "user_id"),
        ({"max_iteration": 1}, "max_iterations"),
    ],
)
async def test_a_field_that_does_not_exist_is_refused(wrong: dict[str, Any], near: str) -> None:
    personalizer = Personalizer(model=ScriptedChat())
    with raises(RequestError, "invalid_request", near):
        await personalizer.awrite("ana", title="A lamp", **wrong)
    with pytest.raises(RequestError):
        await personalizer.abatch([{"user_id": "ana", "title": "A lamp", **wrong}])


def test_settings_of_a_role_name_its_model_and_no_other() -> None:
    settings = Settings(model="openai:large", model_style="openai:small", base_url="http://here/v1")
    assert [settings.for_role(role).model for role in ROLES] == [
        "openai:small",
        "openai:large",
        "openai:large",
    ]
    assert settings.for_role("preference") == settings.for_role("integrate")
    for role in ROLES:
        alone = settings.for_role(role)
        assert alone.base_url == "http://here/v1" and alone.for_one_model() is alone


def test_a_base_url_stays_with_its_provider() -> None:
    mixed = Settings(model="openai:large", model_style="anthropic:x", base_url="http://here/v1")
    assert [mixed.for_role(role).base_url for role in ROLES] == [None, *["http://here/v1"] * 2]
    local = Settings(model="some/folder", model_style="openai:small", base_url="http://here/v1")
    assert [local.for_role(role).base_url for role in ROLES] == ["http://here/v1", None, None]


def test_where_one_model_serves_all_roles_another_is_refused() -> None:
    with (
        raises(SettingsError, "invalid_settings", "PATLM_MODEL_STYLE"),
        open_chat(Settings(model=SCRIPTED, model_style=REFUSING)),
    ):
        pass


async def test_roles_by_name_and_by_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("patlm.graph.open.open_store_and_encoders", no_store)
    mine = ScriptedChat()
    given = {"model": SCRIPTED, "roles": {"style": REFUSING, "integrate": mine}}
    async with Personalizer("nowhere", **given) as personalizer:
        parts = await personalizer._runtime.parts()
        models = [parts.chat[role].model for role in ROLES]
    assert models[2] is mine and models[0] is not models[1]
    monkeypatch.setenv("PATLM_MODEL_STYLE", REFUSING)
    monkeypatch.setenv("PATLM_MODEL", SCRIPTED)
    async with Personalizer("nowhere") as personalizer:
        parts = await personalizer._runtime.parts()
    style, preference, integrate = (parts.chat[role].model for role in ROLES)
    assert preference is integrate and style is not preference
    # What is given by hand goes before what the environment says.
    async with Personalizer("nowhere", roles={"style": mine}) as personalizer:
        assert (await personalizer._runtime.parts()).chat["style"].model is mine
