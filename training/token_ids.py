"""Token ids of prompts and answers, made as serving makes them.

Samples that carry their own ids are trained on as they are; these functions are for what has none:
answers that were written without a language model, and the real texts of people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..models.control_tokens import control_tokens, neutralise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def harmless(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[tuple[str, str]]
) -> list[dict[str, str]]:
    """Return the turns of a prompt with control tokens in their texts broken.

    Args:
        tokenizer: Whose control tokens.
        messages: Role and content of each turn.
    """
    control = control_tokens(tokenizer)
    return [{"role": role, "content": neutralise(text, control)} for role, text in messages]


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[tuple[str, str]]
) -> list[int]:
    """Return the ids of a prompt after its chat template, up to where the answer begins."""
    text = tokenizer.apply_chat_template(
        harmless(tokenizer, messages), tokenize=False, add_generation_prompt=True
    )
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def answer_ids(tokenizer: PreTrainedTokenizerBase, text: str, most: int | None = None) -> list[int]:
    """Return the ids of an answer and the token that ends it.

    Args:
        tokenizer: The model's.
        text: The answer.
        most: Tokens at most; a longer answer is cut and does not end. None: all of it.
    """
    safe = neutralise(text, control_tokens(tokenizer))
    ids: list[int] = tokenizer(safe, add_special_tokens=False)["input_ids"]
    whole = [*ids, int(tokenizer.eos_token_id)]
    return whole if most is None else whole[:most]


def count_with(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """Return the number of tokens of a text, without the frame of a chat turn."""
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
