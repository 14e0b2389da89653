"""Topic encoders by name: a server's, a factory's, a static one, and what each error tells."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from embedding_server import DIMENSION, MODEL, EmbeddingServer, embedding_server
from langchain.embeddings.base import _get_embeddings_class_creator
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from patlm.graph.encoders import OWN, new_style_encoder
from patlm.graph.open import open_store
from patlm.models.encoders import embeddings
from patlm.models.encoders.open import (
    ENCODERS,
    EncoderKind,
    forms_of_encoders,
    number_format,
    open_topic_encoder,
)
from patlm.models.errors import (
    CallRefused,
    MissingExtra,
    ModelBusy,
    ModelError,
    ModelNotFound,
    ModelUnusable,
    RemoteFailed,
)
from patlm.stores import EncoderMismatch, Text
from raising import raises
from store_fixtures import topic_encoder

TEXTS = ["a warm blanket", "", "an old kettle", "x" * 9_000, "a warm blanket"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    at_once = partial(embeddings.EmbeddingsEncoder, wait_s=0.0)
    monkeypatch.setattr(embeddings, "EmbeddingsEncoder", at_once)
    with embedding_server() as served:
        monkeypatch.setenv("OPENAI_API_BASE", served.url)
        monkeypatch.setenv("OLLAMA_HOST", served.host)
        yield served


def test_a_model_of_openais_api(server: EmbeddingServer) -> None:
    encoder = open_topic_encoder(f"openai:{MODEL}")
    assert len(server.asked) == 1, "one call for the dimension"
    assert encoder.dimension == DIMENSION
    assert encoder.version == f"openai:{MODEL}/{DIMENSION}"
    rows = encoder.encode(TEXTS)
    assert rows.shape == (5, DIMENSION) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 0, 1, 1, 1], atol=1e-6)
    expected = np.array(server.vector("an old kettle"))
    np.testing.assert_allclose(rows[2], expected / np.linalg.norm(expected), atol=1e-6)
    np.testing.assert_array_equal(rows[0], rows[4])
    (sent,) = [body["input"] for body in server.asked[1:]]
    assert sent == ["a warm blanket", "an old kettle", "x" * 4_000, "a warm blanket"]
    assert encoder.encode([]).shape == (0, DIMENSION)


def test_many_texts_are_sent_in_parts_and_keep_their_order(server: EmbeddingServer) -> None:
    encoder = open_topic_encoder(f"openai:{MODEL}")
    texts = [f"text number {at}" for at in range(150)]
    rows = encoder.encode(texts)
    assert [len(body["input"]) for body in server.asked[1:]] == [64, 64, 22]
    np.testing.assert_allclose(rows[149], encoder.encode(texts[149:])[0], atol=1e-6)


def test_a_model_of_ollama(server: EmbeddingServer) -> None:
    pytest.importorskip("langchain_ollama")
    encoder = open_topic_encoder(f"ollama:{MODEL}")
    assert encoder.version == f"ollama:{MODEL}/{DIMENSION}"
    assert encoder.encode(TEXTS).shape == (5, DIMENSION)
    with raises(CallRefused, "server_refused", "another"):
        open_topic_encoder("ollama:another")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_passes_is_asked_again(server: EmbeddingServer, status: int) -> None:
    encoder = open_topic_encoder(f"openai:{MODEL}")
    server.plan += [status, status]
    assert encoder.encode(["a kettle"]).any()
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (429, ModelBusy, "model_busy"),
        (500, RemoteFailed, "remote_failed"),
        (401, CallRefused, "server_refused"),
    ],
)
def test_a_fault_that_stays_is_told(
    server: EmbeddingServer, status: int, error: type[ModelError], code: str
) -> None:
    encoder = open_topic_encoder(f"openai:{MODEL}")
    server.plan += [status] * 3
    with raises(error, code, f"openai:{MODEL}", f"told to say {status}"):
        encoder.encode(["a kettle"])


def test_other_vectors_than_at_first_are_refused(server: EmbeddingServer) -> None:
    encoder = open_topic_encoder(f"openai:{MODEL}")
    server.dimension = 8
    with raises(ModelUnusable, "wrong_vectors", 8, 16):
        encoder.encode(["a kettle"])


def test_a_server_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, server: EmbeddingServer
) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    with raises(RemoteFailed, "remote_failed", f"openai:{MODEL}"):
        open_topic_encoder(f"openai:{MODEL}")


async def test_a_store_names_its_encoder_and_refuses_another(
    server: EmbeddingServer, tmp_path: Path
) -> None:
    uri, name = str(tmp_path / "store"), f"openai:{MODEL}"
    async with open_store(uri, encoder=name) as store:
        await store.add([Text("ana", "a warm blanket", topic_id="blanket")])
    async with open_store(uri, encoder=name) as store:
        assert (await store.stats()).texts == 1
    with raises(EncoderMismatch, "other_encoder", f"{name}/{DIMENSION}"):
        async with open_store(uri, encoder=f"python:{__name__}:fake"):
            pass


def fake() -> Embeddings:
    return DeterministicFakeEmbedding(size=12)


def wrong() -> object:
    return topic_encoder()


def broken() -> Embeddings:
    raise RuntimeError("no licence")


class Words(Embeddings):
    """No vectors at all."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0]] * (len(texts) + 1)

    def embed_query(self, text: str) -> list[float]:
        return [1.0]


def test_a_factory_gives_any_embeddings() -> None:
    encoder = open_topic_encoder(f"python:{__name__}:fake")
    assert encoder.dimension == 12 and encoder.version.endswith(":fake/12")
    rows = encoder.encode(["a", "b"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "error", "code", "named"),
    [
        ("no-such-encoder", ModelNotFound, "model_not_found", "provider:model"),
        ("/nowhere/at/all", ModelNotFound, "model_not_found", "/nowhere/at/all"),
        ("static:/nowhere/at/all", ModelNotFound, "model_not_found", "/nowhere/at/all"),
        ("nobody:model", ModelUnusable, "cannot_open_model", "nobody"),
        ("python:no.such.module:x", ModelNotFound, "model_not_found", "no.such"),
        (f"python:{__name__}:wrong", ModelUnusable, "not_a_model", "HashedEncoder"),
        (f"python:{__name__}:broken", ModelUnusable, "cannot_open_model", "no licence"),
        (f"python:{__name__}:Words", ModelUnusable, "wrong_vectors", ":Words"),
    ],
)
def test_names_that_lead_nowhere(name: str, error: type[ModelError], code: str, named: str) -> None:
    with raises(error, code, named):
        open_topic_encoder(name)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("openai:any", "langchain.embeddings", "remote"),
        ("openai:any", "langchain_openai", "remote"),
        ("static:folder", "model2vec", "static"),
        ("owner/name", "sentence_transformers", "local"),
    ],
)
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str
) -> None:
    _get_embeddings_class_creator.cache_clear()  # it keeps the classes of other tests
    monkeypatch.setitem(sys.modules, package, None)
    with raises(MissingExtra, "missing_extra", f"pip install 'patlm[{extra}]'"):
        open_topic_encoder(name)


def test_an_added_kind_opens_an_encoder_and_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = topic_encoder()
    kind = EncoderKind(
        "words", "words", "'words'", lambda name: name == "words", lambda name, dtype: made
    )
    monkeypatch.setitem(ENCODERS, "words", kind)
    assert open_topic_encoder("words") is made and "words" in forms_of_encoders()


def test_a_static_model_of_model2vec(tmp_path: Path) -> None:
    model2vec = pytest.importorskip("model2vec")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    vocabulary = {"[UNK]": 0, "[PAD]": 1, "kettle": 2, "tea": 3, "dog": 4}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 2]], np.float32)
    folder = tmp_path / "kitchen"
    model2vec.StaticModel(vectors, tokenizer).save_pretrained(folder)
    encoder = open_topic_encoder(str(folder))
    assert encoder.version == open_topic_encoder(f"static:{folder}").version
    assert encoder.version.startswith("kitchen@") and encoder.dimension == 3
    kettle, tea, dog, nothing = encoder.encode(["kettle", "tea", "dog", ""])
    assert kettle @ tea == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert abs(kettle @ dog) < 1e-3 and dog @ dog == pytest.approx(1)
    assert not nothing.any()
    assert encoder.encode([]).shape == (0, 3)


async def test_the_style_encoder_of_such_a_store_is_ours(tmp_path: Path) -> None:
    style = await new_style_encoder(str(tmp_path), OWN, [])
    assert style.dimension == 256


def test_only_a_number_format_is_read_from_a_version() -> None:
    assert number_format("all-MiniLM-L6-v2@ee4d4a69484c/bf16") == "bf16"
    assert number_format("openai:text-embedding-3-small/1536") == "auto"
    assert number_format("kitchen@ee4d4a69484c") == "auto"
