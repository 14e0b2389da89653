"""`patlm doctor`: what it says of the models that the settings name."""

import pytest
from patlm.cli.doctor import named_models
from patlm.cli.main import app
from patlm.graph import Settings
from provider_servers import Refused, openai, provider_server
from typer.testing import CliRunner

pytestmark = pytest.mark.server


def test_a_server_is_asked_for_one_token() -> None:
    with provider_server(openai) as server:
        server.window = 32768
        (found,) = named_models(Settings(model="openai:base", base_url=f"{server.url}/v1"))
        (body,) = server.bodies
    assert (found.name, found.ok) == ("PATLM_MODEL", True)
    assert "base at" in found.says and " s, window 32,768 tokens" in found.says
    assert body["max_completion_tokens"] == 1


def test_a_model_that_wants_room_to_reason_gets_it() -> None:
    message = "Could not finish the message because max_tokens or model output limit was reached."
    too_few = Refused(400, {"error": {"message": message, "param": None}})
    with provider_server(openai, too_few) as server:
        settings = Settings(model="openai:o3-mini", base_url=f"{server.url}/v1")
        assert named_models(settings)[0].ok is False
        assert [body["max_completion_tokens"] for body in server.bodies] == [1, 64]


@pytest.mark.parametrize("path", ["", "/v1"])
def test_a_server_that_does_not_answer_is_told(path: str) -> None:
    with provider_server(openai) as server:
        url = server.url
        if not path:
            (found,) = named_models(Settings(model="openai:base", base_url=url))
            assert found.ok is False and f"try {url}/v1" in found.says
            return
    (found,) = named_models(Settings(model="openai:base", base_url=f"{url}/v1"))
    assert found.ok is False and "\n" not in found.says


def test_every_role_has_its_model_checked() -> None:
    settings = Settings(model="python:fakes:scripted", model_style="no such model", dtype="fp32")
    found = {finding.name: finding.ok for finding in named_models(settings)}
    assert found == {"PATLM_MODEL": True, "PATLM_MODEL_STYLE": False}


@pytest.mark.parametrize("command", [["stats"], ["adapters", "list"], ["models", "list"]])
def test_every_command_refuses_a_variable_that_does_not_exist(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATLM_STOR", "somewhere")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 and "PATLM_STORE" in result.stderr
