"""A random Llama of a few thousand weights, a byte tokenizer, a chat model, reports of batches."""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from langchain_huggingface import HuggingFacePipeline
from patlm.models.local.adapters import FindAdapter
from patlm.models.local.batcher import BatchLimits
from patlm.models.local.chat_model import LocalChatModel
from patlm.models.telemetry import BatchReport, CallReport, RoleWork, Watch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, pipeline

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WINDOW = 256


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token a byte and the two control tokens of ChatML."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={mark: i for i, mark in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken("<|im_start|>", special=True), AddedToken("<|im_end|>", special=True)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def tiny_llama(vocabulary: int, window: int = WINDOW) -> LlamaForCausalLM:
    """Return a random model; the same weights every time."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=window,
        initializer_range=0.3,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
    )
    return LlamaForCausalLM(config)


def tiny_chat(
    limits: BatchLimits | None = None,
    find_adapter: FindAdapter | None = None,
    window: int = WINDOW,
    watches: Sequence[Watch] = (),
) -> LocalChatModel:
    """Return a chat model over both; close it."""
    tokenizer = tiny_tokenizer()
    model = tiny_llama(len(tokenizer), window)
    pipe = pipeline("text-generation", model=model, tokenizer=tokenizer)
    return LocalChatModel(
        llm=HuggingFacePipeline(pipeline=pipe, model_id="tiny"),
        model_id="tiny",
        limits=limits,
        find_adapter=find_adapter,
        watches=watches,
    )


CALL = CallReport(
    role="style",
    adapter=None,
    prompt_tokens=100,
    new_tokens=10,
    started_s=0.1,
    first_token_s=0.5,
    ended_s=1.0,
    queued_at=0.0,
)


def call_report(role: str | None = "style", **fields: object) -> CallReport:
    """Return a call of a role that was asked for just now."""
    return replace(CALL, role=role, **{"queued_at": time.perf_counter(), **fields})  # type: ignore[arg-type]


def batch_report(
    *calls: CallReport, seconds: float = 2.0, capture_seconds: float = 0.0, waiting: int = 0
) -> BatchReport:
    """Return a batch of these calls, or of one, each from its beginning to its end."""
    calls = calls or (call_report(),)
    roles = dict.fromkeys(call.role for call in calls)
    work = tuple(_work(role, [call for call in calls if call.role == role]) for role in roles)
    return BatchReport(calls, work, seconds, capture_seconds, waiting)


def _work(role: str | None, calls: list[CallReport]) -> RoleWork:
    return RoleWork(
        role=role,
        rows=len(calls),
        prompt_tokens=sum(call.prompt_tokens for call in calls),
        new_tokens=sum(call.new_tokens for call in calls),
    )


def watched_chat(watch: Watch, rows: int = 32) -> LocalChatModel:
    """Return a tiny model that waits long for the rows of a batch; close it."""
    tokenizer = tiny_tokenizer()
    model = tiny_llama(len(tokenizer))
    return LocalChatModel(
        llm=HuggingFacePipeline(pipeline=pipeline("text-generation", model, tokenizer=tokenizer)),
        limits=BatchLimits(rows=rows, gather_s=0.5, gather_at_most_s=5.0),
        watches=[watch],
    )
