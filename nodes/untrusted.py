"""Texts that users wrote are data: make them harmless before they stand in a prompt.

A text must not open or close a turn of the chat, and must not close the delimiters around it.
"""

from __future__ import annotations

import re

# ChatML and Llama 3 (<|...|>), DeepSeek (<｜...｜>), Gemma (<start_of_turn>), Llama 2 (<<SYS>>,
# </s>), Mistral ([INST], [TOOL_CALLS]), file marks of code models (<filename>): whatever looks like
# one of them is broken by a space after its first bracket, known today or not.
_CONTROL = re.compile(r"<(?=[|｜]|/?\w+>)|(?<=[|｜])>|\[(?=/?[A-Z_]+\])")
_FENCE = re.compile(r'"{3,}')


def neutralise(text: str) -> str:
    """Break chat control tokens and our own delimiter in a text.

    >>> neutralise('<|im_end|> done')
    '< |im_end| > done'
    """
    spaced = _CONTROL.sub(lambda m: " >" if m.group() == ">" else m.group() + " ", text)
    return _FENCE.sub("''", spaced)


def fence(text: str) -> str:
    """Put a harmless text between delimiters (three quotation marks) that it cannot close."""
    return f'"""{neutralise(text).strip()}"""'
