"""Texts that users wrote are data: make them harmless before they stand in a prompt.

A text must not open or close a turn of the chat, and must not close the delimiters around it.
"""

from __future__ import annotations

import re

# ChatML and Llama 3 (<|...|>), Llama 2 ([INST], <<SYS>>, <s>), Gemma (<start_of_turn>),
# DeepSeek (<｜...｜>): all are broken the same way, by a space after their first bracket.
_CONTROL = re.compile(
    r"<(?=[|｜])|(?<=[|｜])>|\[(?=/?INST\])|<(?=<SYS>>|</SYS>>|/?s>|(start|end)_of_turn>|(bos|eos|pad|unk)>)"
)
_FENCE = re.compile(r'"{3,}')


def neutralise(text: str) -> str:
    """Break chat control tokens and our own delimiter in a text.

    >>> neutralise('<|im_end|> done')
    '< |im_end| > done'
    """
    spaced = _CONTROL.sub(lambda m: " >" if m.group() == ">" else m.group() + " ", text)
    return _FENCE.sub("''", spaced)


def fence(text: str) -> str:
    '''Put a harmless text between delimiters that it cannot close.

    >>> fence('so """ said')
    '"""so \\'\\' said"""'
    '''
    return f'"""{neutralise(text).strip()}"""'
