"""The topic encoder on numpy: the vectors and the version that sentence-transformers gives."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from made_up_people import people
from patlm.models.device import may_have_gpu
from patlm.models.encoders import open as opening
from patlm.models.encoders.bert import BertEncoder
from patlm.models.encoders.open import open_topic_encoder
from patlm.models.encoders.sentence import MAX_TOKENS, SentenceEncoder, load_sentence_encoder
from patlm.models.errors import MissingExtra, ModelUnusable
from raising import raises

pytestmark = pytest.mark.bundled

NAME = "all-MiniLM-L6-v2"
TEXTS = [
    "",
    "ok",
    "Ótimo produto, recomendo a todos! 👍 https://example.com/a?b=c 三つ",
    "The kettle boils fast. " * 100,  # more than 256 tokens
    *(text.body for text in people()[:40]),
]


@pytest.fixture(scope="module")
def folder() -> Path:
    return opening.topic_model_path()


@pytest.fixture(scope="module")
def encoder(folder: Path) -> BertEncoder:
    return BertEncoder(folder, name=NAME, max_tokens=MAX_TOKENS)


@pytest.mark.slow
def test_it_is_the_same_encoder(encoder: BertEncoder, folder: Path) -> None:
    theirs = load_sentence_encoder(str(folder), name=NAME, local=True, dtype="fp32")
    assert encoder.version == theirs.version
    assert encoder.dimension == theirs.dimension == 384
    np.testing.assert_allclose(encoder.encode(TEXTS), theirs.encode(TEXTS), atol=1e-6)


def test_a_text_has_one_vector_whoever_is_beside_it(encoder: BertEncoder) -> None:
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.dtype == np.float32 and encoder.encode([]).shape == (0, 384)


def test_it_is_opened_where_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(opening, "may_have_gpu", partial(may_have_gpu, tmp_path))
    assert isinstance(open_topic_encoder(), BertEncoder)
    assert isinstance(open_topic_encoder(dtype="fp32"), BertEncoder)
    assert isinstance(open_topic_encoder(dtype="bf16"), SentenceEncoder)
    (tmp_path / "nvidiactl").touch()
    assert isinstance(open_topic_encoder(), SentenceEncoder)


def test_without_torch_it_is_what_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "has_extra", lambda extra: False)
    monkeypatch.setattr(opening, "may_have_gpu", lambda: True)
    assert isinstance(open_topic_encoder(), BertEncoder)
    with raises(MissingExtra, "missing_extra", "bf16", "patlm[local]"):
        open_topic_encoder(dtype="bf16")


def test_another_model_and_half_a_file_are_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        shutil.copy(folder / name, tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000_000])
    with raises(ModelUnusable, "model_unusable", tmp_path):
        BertEncoder(tmp_path, name=NAME, max_tokens=MAX_TOKENS)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    with raises(ModelUnusable, "model_unusable", "relu"):
        BertEncoder(tmp_path, name=NAME, max_tokens=MAX_TOKENS)
