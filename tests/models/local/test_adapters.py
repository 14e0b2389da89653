"""Adapters in one model: every row of a batch on its own, loaded, dropped, refused."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from adapter_fixtures import random_adapter
from patlm.models.errors import AdapterRefused
from patlm.models.local.adapters import AdapterFiles, fingerprint
from patlm.models.local.chat_model import LocalChatModel
from peft import PeftModel
from raising import raises
from tiny_models import tiny_chat, tiny_llama, tiny_tokenizer

NAMES = ("style@1", "style@2", "preference@1")
VOCABULARY = len(tiny_tokenizer())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(NAMES):
        random_adapter(root / name, seed + 1)
    return root


@pytest.fixture
def model(folder: Path) -> Iterator[LocalChatModel]:
    chat = tiny_chat(find_adapter=lambda name: AdapterFiles(folder / name))
    yield chat
    chat.close()


def by_peft(folder: Path, name: str, prompt_ids: list[int], tokens: int) -> list[int]:
    """Return what the adapter answers when it is the only one in the model."""
    model = PeftModel.from_pretrained(tiny_llama(VOCABULARY), str(folder / name)).eval()
    ids = torch.tensor([prompt_ids])
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        do_sample=False,
        eos_token_id=None,
    )
    return out[0, len(prompt_ids) :].tolist()


async def test_each_row_of_a_batch_runs_on_its_own_adapter(
    model: LocalChatModel, folder: Path
) -> None:
    calls = [None, *NAMES, None, "style@2"]
    answers = await asyncio.gather(
        *(model.ainvoke("hello", max_tokens=16, adapter=name, capture=True) for name in calls)
    )
    told = [answer.response_metadata for answer in answers]
    assert [info["adapter"] for info in told] == [name or "base" for name in calls]
    ids = [tuple(info["token_ids"]) for info in told]
    assert len(set(ids)) == 4 and ids[0] == ids[4] and ids[2] == ids[5]
    for name, info in zip(calls[1:4], told[1:4], strict=True):
        got = info["token_ids"]
        assert got == by_peft(folder, str(name), info["prompt_token_ids"], 16)[: len(got)]


async def test_the_base_model_is_what_it_was_before_and_after(model: LocalChatModel) -> None:
    before = (await model.ainvoke("hello", max_tokens=16)).content
    await model.ainvoke("hello", max_tokens=16, adapter="style@1")
    assert (await model.ainvoke("hello", max_tokens=16)).content == before


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_the_least_recently_used_goes(folder: Path, kept: int) -> None:
    chat = tiny_chat(find_adapter=lambda name: AdapterFiles(folder / name))
    await chat.ainvoke("a", max_tokens=1, adapter="style@1")
    (size,) = chat.adapters_loaded.values()
    chat._slots._budget = size * kept
    answers = {}
    for _ in range(2):
        for name in NAMES:
            answer = await chat.ainvoke("hello", max_tokens=12, adapter=name)
            # Those that come back from the disk answer as before.
            assert answers.setdefault(name, answer.content) == answer.content
    # What the last batch ran on stays, whatever the budget.
    assert list(chat.adapters_loaded) == list(NAMES)[3 - max(kept, 1) :]
    together = await asyncio.gather(
        *(chat.ainvoke("hello", max_tokens=12, adapter=name) for name in NAMES)
    )
    assert [answer.content for answer in together] == list(answers.values())
    chat.close()


async def test_a_bad_adapter_fails_its_own_row_alone(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    torn = tmp_path / "style@2" / "adapter_model.safetensors"
    torn.write_bytes(torn.read_bytes()[:200])
    chat = tiny_chat(find_adapter=lambda name: AdapterFiles(tmp_path / name))
    names = ["style@1", "style@2", None]
    found = await asyncio.gather(
        *(chat.ainvoke("hello", max_tokens=8, adapter=name) for name in names),
        return_exceptions=True,
    )
    assert isinstance(found[1], AdapterRefused) and "style@2 could not be loaded" in str(found[1])
    assert not isinstance(found[0], BaseException) and not isinstance(found[2], BaseException)
    fallen = await chat.ainvoke("hello", max_tokens=8, adapter="style@2", adapter_fallback=True)
    assert (fallen.content, fallen.response_metadata["adapter"]) == (found[2].content, "base")
    # Mended, it is taken: a refusal is not remembered.
    shutil.copytree(folder / "style@2", tmp_path / "style@2", dirs_exist_ok=True)
    answer = await chat.ainvoke("hello", max_tokens=8, adapter="style@2")
    assert answer.response_metadata["adapter"] == "style@2"
    chat.close()


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
    ],
)
async def test_what_can_not_be_mixed_is_refused(
    tmp_path: Path, config: dict[str, object], named: str
) -> None:
    random_adapter(tmp_path / "style@9", 0, **config)
    chat = tiny_chat(find_adapter=lambda name: AdapterFiles(tmp_path / name))
    with raises(AdapterRefused, "adapter_unfit", "style@9", named):
        await chat.ainvoke("a", adapter="style@9")
    assert (await chat.ainvoke("a", max_tokens=2)).content is not None
    chat.close()


def test_a_fingerprint_is_of_weights_not_of_their_format() -> None:
    model, same = tiny_llama(VOCABULARY), tiny_llama(VOCABULARY).to(torch.bfloat16)
    assert fingerprint(model) == fingerprint(same)
    with torch.no_grad():
        same.lm_head.weight[0, 0] += 1
    assert fingerprint(model) != fingerprint(same)
