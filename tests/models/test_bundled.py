"""The bundled weights: converted once, whole or not at all, and good for real answers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from patlm.graph.encoders import OWN, new_style_encoder
from patlm.graph.open import open_store_and_encoders
from patlm.models import bundled
from patlm.models.bundled import converted
from patlm.models.encoders.sentence import open_topic_encoder
from patlm.models.errors import ModelUnusable
from patlm.models.local.chat_model import LocalChatModel
from patlm.models.open import open_local_chat
from patlm.stores import Text, TextStore
from typer.testing import CliRunner

pytestmark = pytest.mark.bundled

CONVERT = """
import sys
from patlm.models.bundled import chat_model_path
print(chat_model_path(lambda share, doing: print(doing, flush=True)))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of its own, filled by two processes that convert at the same moment."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATLM_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def by_two_processes(cache: Path) -> list[tuple[str, str]]:
    """What two processes that started together printed, on stdout and stderr."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CONVERT],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    return [process.communicate(timeout=300) for process in processes]


@pytest.fixture(scope="module")
def model(by_two_processes: object) -> Iterator[LocalChatModel]:
    chat = open_local_chat(str(bundled.chat_model_path()), dtype="fp32", name="smollm2-135m")
    yield chat
    chat.close()


def test_two_processes_at_once_convert_once(
    by_two_processes: list[tuple[str, str]], cache: Path
) -> None:
    paths = {out.splitlines()[-1] for out, _ in by_two_processes}
    assert len(paths) == 1 and Path(paths.pop()).parent == cache
    assert sorted(out.count("reading the tokenizer") for out, _ in by_two_processes) == [0, 1]
    assert [err for _, err in by_two_processes] == ["", ""]
    assert [path.name for path in cache.iterdir() if ".partial-" in path.name] == []


def test_damage_is_noticed_and_mended(
    by_two_processes: object, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundled.chat_model_path()
    config = folder / "config.json"
    whole = config.read_text()
    config.write_text(whole.replace("576", "577"))
    chat, _ = bundled.installed_models()
    assert chat.converted is False
    (cache / f"{folder.name}.partial-killed").mkdir()  # as a killed process leaves it

    def convert(source: Path, into: Path, progress: object) -> None:
        # The real one takes half a minute; what is under test is when it runs and what it leaves.
        for path in folder.iterdir():
            if path.name not in ("config.json", "manifest.json"):
                os.link(path, into / path.name)
        (into / "config.json").write_text(whole)

    monkeypatch.setattr("patlm.models.bundled._convert", convert)
    assert bundled.chat_model_path() == folder
    assert config.read_text() == whole
    assert bundled.installed_models()[0].converted is True
    assert [path.name for path in cache.iterdir() if ".partial-" in path.name] == []


def test_a_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "broken.gguf"
    source.write_bytes(b"GGUF but no more")
    with pytest.raises(ModelUnusable, match=r"can't read .*broken\.gguf"):
        converted(source, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = tmp_path / "model.gguf"
    source.write_bytes(b"")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelUnusable, match="PATLM_CACHE"):
        converted(source, tmp_path / "file")


def test_the_chat_model_follows_its_template(model: LocalChatModel) -> None:
    answer = model.invoke("What is the capital of France?", max_tokens=12)
    assert "Paris" in str(answer.content)


def test_topic_vectors_know_topics(by_two_processes: object) -> None:
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
    by_two_processes: object, tmp_path: Path, dtype: str
) -> None:
    topic = open_topic_encoder(dtype=dtype)
    style = await new_style_encoder(str(tmp_path), OWN, [])
    async with TextStore.open(str(tmp_path), style_encoder=style, topic_encoder=topic) as store:
        await store.add([Text("ana", "A fine view.")])
    async with open_store_and_encoders(str(tmp_path)) as (_, encoders):
        assert encoders.topic.version == topic.version


def test_list_says_what_is_there(by_two_processes: object) -> None:
    from patlm.cli.models import app

    done = CliRunner().invoke(app, ["list", "--json"])
    models = json.loads(done.stdout)["models"]
    assert [entry["name"] for entry in models] == ["SmolLM2-135M-Instruct", "all-MiniLM-L6-v2"]
    assert models[0]["converted"] is True and models[0]["bytes"] > 200e6
    assert "SmolLM2" in CliRunner().invoke(app, ["list"]).stdout
