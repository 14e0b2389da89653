"""Remote models: which server, what is sent to it, and how an SDK's error is read."""

import pytest
from fakes import ScriptedChat
from patlm.graph.open import chat_role
from patlm.models.errors import AdapterRefused, ModelUnusable
from patlm.models.open import model_name, open_chat_model
from patlm.models.remote.chat_model import RemoteChatModel, RemoteOptions
from patlm.models.remote.faults import read_fault
from patlm.models.remote.server import Server
from raising import raises

OURS = Server("openai", "base", "http://127.0.0.1:8000/v1")
OTHER = Server("anthropic", "some-model")


@pytest.fixture(autouse=True)
def no_openai_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


class Response:
    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class SaidNo(Exception):
    """What the SDKs of OpenAI and Anthropic raise."""

    def __init__(self, status: int, says: str = "no", body: object = None, **headers: str) -> None:
        super().__init__(says)
        self.status_code = status
        self.body = body
        self.response = Response(**headers)


def sent(server: Server, stop: list[str] | None = None, **options: object) -> dict[str, object]:
    return RemoteOptions.read(options, stop, server).for_server(server)


def test_a_server_of_ones_own_needs_no_key() -> None:
    server = Server.named("openai:org/base", "http://127.0.0.1:8000/v1")
    assert (server.model, str(server)) == ("org/base", "org/base at http://127.0.0.1:8000/v1")
    assert server.options() == {
        "max_retries": 0,
        "base_url": "http://127.0.0.1:8000/v1",
        "api_key": "none",
    }


@pytest.mark.parametrize("name", ["smollm2-135m", "owner/name", "local:x", "python:a.b:c"])
def test_a_base_url_without_a_remote_model_is_an_error(name: str) -> None:
    with raises(ModelUnusable, "base_url_refused", "openai:NAME", "http://here/v1", name):
        open_chat_model(name, base_url="http://here/v1")


def test_roles_on_a_server_of_ones_own_decode_greedily() -> None:
    ours = open_chat_model("openai:base", base_url="http://127.0.0.1:9/v1")
    elsewhere = RemoteChatModel(inner=ScriptedChat(), server=OTHER)
    assert isinstance(ours, RemoteChatModel) and model_name(ours) == "base"
    roles = [chat_role(model) for model in (ours, elsewhere)]
    assert [role.options for role in roles] == [{"temperature": 0.0}, {}]
    assert [role.takes_adapters for role in roles] == [True, False]
    ours.close()
    elsewhere.close()


def test_only_what_a_call_sets_is_sent() -> None:
    assert sent(OURS) == {}
    assert sent(OURS, temperature=None, seed=3) == {"seed": 3}
    assert sent(OURS, stop=["a", ""], max_tokens=9) == {"stop": ["a"], "max_tokens": 9}
    assert sent(OURS, no_repeat_ngram_size=4, stream=True) == {}


def test_adapter_and_capture_are_words_of_openais_api() -> None:
    assert sent(OURS, adapter="style@3", capture=True) == {"model": "style@3", "logprobs": True}
    assert sent(OURS, adapter="base") == sent(OTHER, capture=True) == {}
    with raises(AdapterRefused, "adapter_refused", "style@3", "some-model at anthropic"):
        sent(OTHER, adapter="style@3")
    call = RemoteOptions.read({"adapter": "style@3", "adapter_fallback": True}, None, OTHER)
    assert call.sampling.adapter is None


async def test_other_providers_answer_as_ours_do() -> None:
    inner = ScriptedChat()
    model = RemoteChatModel(inner=inner, server=OTHER)
    answer = await model.ainvoke("hi", max_tokens=5, capture=True)
    pieces = [str(chunk.text) async for chunk in model.astream("hi")]
    model.close()
    assert answer.text == "Nothing special." == "".join(pieces).strip()
    assert answer.response_metadata == {"model_name": "some-model", "adapter": "base"}
    assert inner.asked[0].options == {"max_tokens": 5}


@pytest.mark.parametrize(
    ("status", "transient"),
    [(400, False), (401, False), (403, False), (404, False), (413, False), (422, False)]
    + [(408, True), (409, True), (429, True), (500, True), (502, True), (503, True), (529, True)],
)
def test_what_may_pass_and_what_will_not(status: int, transient: bool) -> None:
    fault = read_fault(SaidNo(status, "no\n  way"))
    assert (fault.transient, fault.status, fault.says) == (transient, status, "no way")
    assert fault.busy is (status == 429)
