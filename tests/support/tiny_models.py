"""A random Llama of a few thousand weights and a byte tokenizer, both made from a config."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from langchain_huggingface import HuggingFacePipeline
from patlm.models.local.adapters import FindAdapter
from patlm.models.local.batcher import BatchLimits
from patlm.models.local.chat_model import LocalChatModel
from patlm.models.telemetry import Watch
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
