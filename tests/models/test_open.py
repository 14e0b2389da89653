"""Opening a model by name, counting tokens, and what every error tells."""

import sys
from pathlib import Path

import pytest
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from patlm.models.errors import MissingExtra, ModelError, ModelNotFound, ModelUnusable
from patlm.models.local.chat_model import LocalChatModel
from patlm.models.open import (
    PROVIDERS,
    Provider,
    forms_of_names,
    model_name,
    open_chat_model,
    provider_of,
)
from raising import raises
from tiny_models import tiny_chat


def fake() -> BaseChatModel:
    return FakeListChatModel(responses=["ok"])


def no_model() -> str:
    return "not a model"


def broken() -> BaseChatModel:
    raise RuntimeError("no licence")


def test_a_dotted_path_gives_a_model() -> None:
    assert open_chat_model(f"python:{__name__}:fake").invoke("hi").content == "ok"


def test_an_added_provider_opens_a_model_and_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    canned = Provider(
        "canned",
        "canned:ANSWER",
        "'canned:ANSWER'",
        lambda name: name.startswith("canned:"),
        lambda name, how: FakeListChatModel(responses=[name.removeprefix("canned:")]),
    )
    monkeypatch.setitem(PROVIDERS, "canned", canned)
    assert open_chat_model("canned:yes").invoke("hi").content == "yes"
    assert provider_of("canned:yes") is canned and "canned:ANSWER" in forms_of_names()
    with raises(ModelNotFound, "model_not_found", "'canned:ANSWER'"):
        open_chat_model("no-such-model")
    with raises(ModelUnusable, "base_url_refused", "http://here/v1"):
        open_chat_model("canned:yes", base_url="http://here/v1")


@pytest.mark.parametrize(
    ("name", "error", "code", "named"),
    [
        ("no-such-model", ModelNotFound, "model_not_found", "smollm2-135m"),
        ("bundled", ModelNotFound, "model_not_found", "'smollm2-135m'"),
        ("local:/nowhere/at/all", ModelNotFound, "model_not_found", "/nowhere/at/all"),
        ("python:no.such.module:x", ModelNotFound, "model_not_found", "no.such"),
        (f"python:{__name__}:no_model", ModelUnusable, "not_a_model", "str"),
        (f"python:{__name__}:broken", ModelUnusable, "cannot_open_model", "no licence"),
    ],
)
def test_names_that_lead_nowhere(name: str, error: type[ModelError], code: str, named: str) -> None:
    with raises(error, code, named):
        open_chat_model(name)


def test_a_remote_name_without_langchain_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain.chat_models", None)
    with raises(MissingExtra, "missing_extra", "pip install 'patlm[remote]'"):
        open_chat_model("openai:gpt-4o-mini")


def test_a_folder_gives_a_local_model(tmp_path: Path) -> None:
    tiny = tiny_chat()
    tiny.llm.pipeline.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    opened = open_chat_model(str(tmp_path), dtype="fp32")
    assert isinstance(opened, LocalChatModel)
    answers = [model.invoke("a", max_tokens=9).content for model in (tiny, opened)]
    assert answers[0] == answers[1]
    assert model_name(opened) == str(tmp_path) and model_name(fake()) == "FakeListChatModel"
    tiny.close()
    opened.close()
