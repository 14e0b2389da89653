"""Tokenise prompts and answers in the same way as serving.

Samples with their own token ids are used unchanged; these functions tokenise what has none: answers
that were made without a language model, and real texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...models.sanitise import control_tokens, neutralise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ...stores.episodes.schema import Sample


def harmless(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[tuple[str, str]]
) -> list[dict[str, str]]:
    """Return the messages of a prompt with control tokens in their texts neutralised.

    Args:
        tokenizer: Tokenizer that defines the control tokens.
        messages: Role and content of each message.
    """
    control = control_tokens(tokenizer)
    return [{"role": role, "content": neutralise(text, control)} for role, text in messages]


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[tuple[str, str]]
) -> list[int]:
    """Return the token ids of a prompt after its chat template, up to the start of the answer.

    An answer that is begun, a last message of the assistant, is part of the prompt.
    """
    turns = harmless(tokenizer, messages)
    begun = turns.pop()["content"] if len(turns) > 1 and turns[-1]["role"] == "assistant" else ""
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(f"{text}{begun}", add_special_tokens=False)["input_ids"]
    return ids


def answer_ids(tokenizer: PreTrainedTokenizerBase, text: str, most: int | None = None) -> list[int]:
    """Return the token ids of an answer and its end token.

    Args:
        tokenizer: The model's tokenizer.
        text: The answer.
        most: Maximum number of tokens; longer answers are truncated and have no end token. None: no
            limit.
    """
    safe = neutralise(text, control_tokens(tokenizer))
    ids: list[int] = tokenizer(safe, add_special_tokens=False)["input_ids"]
    whole = [*ids, int(tokenizer.eos_token_id)]
    return whole if most is None else whole[:most]


def encoded(tokenizer: PreTrainedTokenizerBase, base: str, sample: Sample) -> Sample:
    """Add this tokenizer's ids to a server's sample.

    They may differ from the generated ones, so methods that weight by a sample's likelihood (GRPO)
    must not use them. A sample with its own ids, or without text, is returned unchanged.

    Args:
        tokenizer: Tokenizer of the model to train.
        base: Fingerprint of that model, set on the returned sample.
        sample: Any sample.
    """
    if sample.exact or sample.text is None or not sample.messages:
        return sample
    turns = [(turn.role, turn.content) for turn in sample.messages]
    ids = answer_ids(tokenizer, sample.text)
    cut_off = sample.finish_reason == "length"
    return sample.model_copy(
        update={
            "base": base,
            "prompt_token_ids": tuple(prompt_ids(tokenizer, turns)),
            "token_ids": tuple(ids[:-1] if cut_off else ids),
        }
    )


def count_with(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """Return the number of tokens of a text, without the chat template."""
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
