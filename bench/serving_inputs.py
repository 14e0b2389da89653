"""What the serving benches work on: requests, prompts of the loop, random adapters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..nodes.parts import PromptBudget
from ..nodes.prompts import STYLE, reasoner_prompt
from ..nodes.state import Evidence, Request
from ..stores.readers import read_texts
from ..stores.records import Text
from ..stores.sample import sample_corpus

if TYPE_CHECKING:
    from ..models.adapter_slots import AdapterFiles, FindAdapter
    from ..models.local_chat import LocalChatModel

ADAPTERS = ("style@1", "preference@1", "integrate@1")
MORE_ADAPTERS = (*ADAPTERS, "style@2", "preference@2", "integrate@2")
EVIDENCE = 4

Messages = list[tuple[str, str]]


def texts_of(data: Path | None) -> list[Text]:
    """Return the texts of a file, of the sample corpus where None; those with a title and a topic.

    Raises:
        FormatError: The file is of no known format.
    """
    texts = [text for text in read_texts(data or sample_corpus()) if isinstance(text, Text)]
    return [text for text in texts if text.title and text.topic_id and text.body]


def requests_of(texts: Sequence[Text], count: int) -> list[Request]:
    """Return requests for long texts, spread evenly over the texts."""
    step = max(1, len(texts) // count)
    return [
        Request(user_id=text.user_id, task="long", topic_id=text.topic_id, title=text.title)
        for text in texts[::step][:count]
    ]


def prompts_of(texts: Sequence[Text], count: int, model: LocalChatModel) -> list[Messages]:
    """Return prompts of style-reason in the first iteration, at the budget of serving."""
    prompts = []
    for place, request in enumerate(requests_of(texts, count)):
        at = place * EVIDENCE % max(1, len(texts) - EVIDENCE)
        evidence = [_evidence(text) for text in texts[at : at + EVIDENCE]]
        prompt = reasoner_prompt(
            STYLE, request, evidence, budget=PromptBudget(), count=model.count_tokens
        )
        prompts.append(prompt.messages)
    return prompts


def _evidence(text: Text) -> Evidence:
    return Evidence(
        text_id=text.text_id,
        user_id=text.user_id,
        topic_id=text.topic_id,
        title=text.title,
        body=text.body,
        score=1.0,
        strategy="bench",
        reason="bench",
    )


def save_random_adapters(folder: Path, model: str, names: Sequence[str]) -> None:
    """Save adapters of the default shape with random weights. Blocks for seconds.

    Args:
        folder: Each goes to a folder below it, by its name.
        model: Path or hub id of the base model.
        names: How the adapters are called.
    """
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    from ..models.adapter_shape import lora_config
    from ..models.quiet import quiet_loading

    with quiet_loading():
        base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    peft = get_peft_model(base, lora_config(base.config), autocast_adapter_dtype=False)
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        for key, weight in peft.named_parameters():
            if "lora_B" in key:  # zero in a new adapter, which would change nothing
                torch.nn.init.normal_(weight, std=0.02)
        peft.save_pretrained(str(folder / name))


def finder(folder: Path) -> FindAdapter:
    """Return what finds these adapters for a model."""

    def find(name: str) -> AdapterFiles:
        from ..models.adapter_slots import AdapterFiles

        return AdapterFiles(folder / name)

    return find
