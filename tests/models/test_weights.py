"""The installed weights are good for real answers, and converted without a loss."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from patlm.graph.encoders import OWN, new_style_encoder
from patlm.graph.open import open_store_and_encoders
from patlm.models.catalogue import CATALOGUE, SMALLEST
from patlm.models.conversion import convert
from patlm.models.download import fetch
from patlm.models.encoders.open import open_topic_encoder
from patlm.models.errors import ModelUnusable
from patlm.models.installed import model_path
from patlm.models.local.chat_model import LocalChatModel
from patlm.models.open import open_chat_model
from patlm.stores import Text, TextStore
from raising import raises

pytestmark = pytest.mark.bundled


@pytest.fixture(scope="module")
def model() -> Iterator[LocalChatModel]:
    chat = open_chat_model(SMALLEST, dtype="fp32")
    assert isinstance(chat, LocalChatModel)
    yield chat
    chat.close()


@pytest.mark.slow
def test_the_conversion_is_that_of_transformers(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def silent(share: float, doing: str) -> None:
        pass

    (tmp_path / "file").mkdir()
    source = fetch(CATALOGUE[SMALLEST], tmp_path / "file", silent)  # deleted when installed
    convert(source, tmp_path, silent)
    where = {"gguf_file": source.name}
    read = AutoModelForCausalLM.from_pretrained(source.parent, **where)
    ours = load_file(tmp_path / "model.safetensors")
    for name, weight in read.state_dict().items():
        assert name == "lm_head.weight" or torch.equal(ours[name], weight.bfloat16()), name
    said = "Two nights by the sea; naïve, 部屋 <|im_end|>"
    theirs = AutoTokenizer.from_pretrained(source.parent, **where)
    assert AutoTokenizer.from_pretrained(tmp_path)(said) == theirs(said)


def test_a_file_that_is_no_gguf_is_told(tmp_path: Path) -> None:
    source = tmp_path / "broken.gguf"
    source.write_bytes(b"GGUF but no more")
    with raises(ModelUnusable, "model_unusable", source):
        convert(source, tmp_path / "made", lambda share, doing: None)


def test_the_chat_model_follows_its_template(model: LocalChatModel) -> None:
    answer = model.invoke("What is the capital of France?", max_tokens=12)
    assert "Paris" in str(answer.content)


def test_the_folder_is_found_and_topic_vectors_know_topics() -> None:
    assert model_path(SMALLEST).is_dir()
    encoder = open_topic_encoder()
    texts = ["The kettle boils fast.", "Water heats up quickly in it.", "My dog hates cats. " * 200]
    kettle, water, dog = encoder.encode(texts)
    assert encoder.dimension == 384 and kettle.dtype == np.float32
    assert kettle @ water > 0.4 > kettle @ dog
    np.testing.assert_allclose(np.linalg.norm([kettle, water, dog], axis=1), 1, atol=1e-5)
    assert encoder.version == open_topic_encoder().version
    # Named, for which of the two is taken by itself depends on the CPU.
    in_formats = {open_topic_encoder(dtype=dtype).version for dtype in ("fp32", "bf16")}
    assert len(in_formats) == 2
    # Texts are cut at 256 tokens: what comes after changes nothing.
    np.testing.assert_array_equal(encoder.encode(["a " * 300]), encoder.encode(["a " * 400]))


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
async def test_a_store_is_opened_in_the_number_format_that_it_was_filled_in(
    tmp_path: Path, dtype: str
) -> None:
    topic = open_topic_encoder(dtype=dtype)
    style = await new_style_encoder(str(tmp_path), OWN, [])
    async with TextStore.open(str(tmp_path), style_encoder=style, topic_encoder=topic) as store:
        await store.add([Text("ana", "A fine view.")])
    async with open_store_and_encoders(str(tmp_path)) as (_, encoders):
        assert encoders.topic.version == topic.version
