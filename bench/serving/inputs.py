"""Inputs and references of the serving bench.

Inputs are requests, prompts of the loop and random adapters; references are raw `generate` and an
unchanged `ChatHuggingFace`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
from peft import PeftModel, get_peft_model
from pydantic import PrivateAttr
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    StoppingCriteria,
    StoppingCriteriaList,
)

from ...models.local.engine import left_pad
from ...models.open import told_by_transformers
from ...models.quiet import quiet_loading
from ...nodes.budget import Budget
from ...nodes.prompts.build import STYLE, reasoner_prompt
from ...nodes.state import Evidence, Request
from ...stores.datasets.formats import read_texts
from ...stores.datasets.sample import sample_corpus
from ...stores.types import Text
from ...training.trainer.model import end_token

if TYPE_CHECKING:
    from ...models.local.adapters import FindAdapter
    from ...models.local.chat_model import LocalChatModel

ADAPTERS = ("style@1", "preference@1", "integrate@1")
MORE_ADAPTERS = (*ADAPTERS, "style@2", "preference@2", "integrate@2")
EVIDENCE = 4

Messages = list[tuple[str, str]]


def texts_of(data: Path | None) -> list[Text]:
    """Return the texts of a file (None: the sample corpus) that have a title and a topic.

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
            STYLE, request, evidence, budget=Budget(), count=model.count_tokens
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
        folder: Each adapter gets a folder in it, by its name.
        model: Path or hub id of the base model.
        names: Names of the adapters.
    """
    from ...models.local.adapters import lora_config

    with quiet_loading(), told_by_transformers(model):
        base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    peft = get_peft_model(base, lora_config(base.config), autocast_adapter_dtype=False)
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        for key, weight in peft.named_parameters():
            if "lora_B" in key:  # zero in a new adapter, which would change nothing
                torch.nn.init.normal_(weight, std=0.02)
        peft.save_pretrained(str(folder / name))


def finder(folder: Path) -> FindAdapter:
    """Return the lookup of these adapters for a model."""
    from ...models.local.adapters import AdapterFiles

    return lambda name: AdapterFiles(folder / name)


class BareModel:
    """transformers' `generate` on tokenised prompts: no queue, no hooks.

    Args:
        path: The model's folder.
        dtype: Number format of its weights.
        adapter: Folder of a LoRA adapter that `set_adapter` activates for all calls.
    """

    def __init__(self, path: str, dtype: torch.dtype, adapter: Path | None = None) -> None:
        with quiet_loading(), told_by_transformers(path):
            self.tokenizer = AutoTokenizer.from_pretrained(path)
            model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
            if adapter is not None:
                model = PeftModel.from_pretrained(
                    model, str(adapter), adapter_name="lone", autocast_adapter_dtype=False
                )
                model.set_adapter("lone")
        self._model = model.eval()
        self._end = end_token(self.tokenizer, path)

    def prompt_ids(self, messages: Messages) -> list[int]:
        """Return a templated prompt."""
        turns = [{"role": role, "content": content} for role, content in messages]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def generate(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> tuple[int, float]:
        """Answer a batch greedily; return the tokens up to each row's end, and the seconds."""
        input_ids, attention_mask = left_pad(prompts, self._end)
        begin = time.perf_counter()
        with torch.inference_mode():
            out = self._model.generate(
                input_ids=input_ids,
                attention_mask=attention_mask,
                max_new_tokens=max_tokens,
                do_sample=False,
                pad_token_id=self._end,
            )
        seconds = time.perf_counter() - begin
        new = out[:, input_ids.shape[1] :].tolist()
        return sum(self._length(row) for row in new), seconds

    def logits(self, ids: Sequence[int]) -> torch.Tensor:
        """Return the logits of a whole text in one pass, shape (tokens, vocabulary)."""
        with torch.inference_mode():
            logits: torch.Tensor = self._model(torch.tensor([list(ids)])).logits[0].float()
        return logits

    def _length(self, row: list[int]) -> int:
        return row.index(self._end) + 1 if self._end in row else len(row)


class SequentialChat(BaseChatModel):
    """An unchanged `ChatHuggingFace` over a local pipeline, one call after the other.

    Its `ainvoke` raises, so calls go through a thread; a lock keeps them in sequence, because two
    concurrent calls of one pipeline compete for the same cores.
    """

    _chat: ChatHuggingFace = PrivateAttr()
    _turn: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, path: str, dtype: torch.dtype) -> None:
        super().__init__()
        with quiet_loading():
            llm = HuggingFacePipeline.from_model_id(
                path, task="text-generation", model_kwargs={"dtype": dtype}
            )
        self._chat = ChatHuggingFace(llm=llm, model_id=path)

    @property
    def _llm_type(self) -> str:
        return "sequential"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        ending = _Ending()
        settings = {
            "max_new_tokens": kwargs["max_tokens"],
            "do_sample": False,
            "return_full_text": False,
            "stopping_criteria": StoppingCriteriaList([ending]),
        }
        with self._turn:
            result = self._chat._generate(messages, stop, pipeline_kwargs=settings)
        # `ChatHuggingFace` does not say why an answer ended, and a cut one is mended by the loop.
        ends = self._chat.llm.pipeline.model.generation_config.eos_token_id
        cut = ending.last_token not in (ends if isinstance(ends, list) else [ends])
        message = result.generations[0].message
        message.response_metadata["finish_reason"] = "length" if cut else "stop"
        return result


class _Ending(StoppingCriteria):
    """Notes the last token of an answer and stops nothing."""

    last_token: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        self.last_token = int(input_ids[0, -1])
        return torch.zeros(len(input_ids), dtype=torch.bool)
