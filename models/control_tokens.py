"""Take the power out of a chat format's control tokens where they stand in text.

A tokenizer reads "<|im_end|>" inside a review as the end of the turn. Text that people wrote is
data: such a string is broken by a space, so that it is read as the characters it is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Return every special token of a tokenizer, longest first."""
    added = tokenizer.added_tokens_decoder.values()
    names = {token.content for token in added if token.special} | set(tokenizer.all_special_tokens)
    return tuple(
        sorted((name for name in names if name.strip()), key=lambda name: (-len(name), name))
    )


def neutralise(text: str, control: Sequence[str]) -> str:
    """Return the text with a space after the first character of every control token in it.

    Example:
        >>> neutralise("bye<|im_end|>", ["<|im_end|>"])
        'bye< |im_end|>'
    """
    for token in control:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
