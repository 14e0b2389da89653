"""What serving is measured against: raw `generate`, and `ChatHuggingFace` as it comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
from peft import PeftModel
from pydantic import PrivateAttr
from transformers import AutoModelForCausalLM, AutoTokenizer

from ..models.generation import left_pad
from ..models.quiet import quiet_loading
from .serving_inputs import Messages


class BareModel:
    """transformers' `generate` on prompts that are tokenised already: no queue, no hooks.

    Args:
        path: The model's folder.
        dtype: Number format of its weights.
        adapter: Folder of a LoRA adapter that is switched on by `set_adapter` for all calls.
    """

    def __init__(self, path: str, dtype: torch.dtype, adapter: Path | None = None) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        with quiet_loading():
            model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
            if adapter is not None:
                model = PeftModel.from_pretrained(
                    model, str(adapter), adapter_name="lone", autocast_adapter_dtype=False
                )
                model.set_adapter("lone")
        self._model = model.eval()
        self._end = int(self.tokenizer.eos_token_id)

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
        """Return what the model makes of a whole text in one pass, shape (tokens, vocabulary)."""
        with torch.inference_mode():
            logits: torch.Tensor = self._model(torch.tensor([list(ids)])).logits[0].float()
        return logits

    def _length(self, row: list[int]) -> int:
        return row.index(self._end) + 1 if self._end in row else len(row)


class SequentialChat(BaseChatModel):
    """`ChatHuggingFace` over a local pipeline, one call after the other, as it comes.

    Its `ainvoke` raises, so that calls go through a thread; a lock keeps them in sequence, for
    two at once in one pipeline only fight over the same cores.
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
        settings = {
            "max_new_tokens": kwargs["max_tokens"],
            "do_sample": False,
            "return_full_text": False,
        }
        with self._turn:
            return self._chat._generate(messages, stop, pipeline_kwargs=settings)
