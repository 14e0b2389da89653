"""Make the texts of users and models harmless before they are put into a prompt or shown.

A tokenizer reads "<|im_end|>" inside a review as the end of the turn. Texts of users are data: they
must not open or close a turn, nor close the delimiters around them. Such strings are broken by a
space, so that the tokenizer reads plain characters.

A terminal obeys an escape character inside a review: `visible` shows it instead.
"""

from __future__ import annotations

import re
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


# ChatML and Llama 3 (<|...|>), DeepSeek (<｜...｜>), Gemma (<start_of_turn>), Llama 2 (<<SYS>>,
# </s>), Mistral ([INST], [TOOL_CALLS]), file marks of code models (<filename>): anything of these
# shapes is broken by a space after its first bracket, so that unknown tokens are covered too.
_CONTROL = re.compile(r"<(?=[|｜]|/?\w+>)|(?<=[|｜])>|\[(?=/?[A-Z_]+\])")
_FENCE = re.compile(r'"{3,}')


def harmless_text(text: str) -> str:
    """Break chat control tokens and our own delimiter in a text.

    >>> harmless_text('<|im_end|> done')
    '< |im_end| > done'
    """
    spaced = _CONTROL.sub(lambda m: " >" if m.group() == ">" else m.group() + " ", text)
    return _FENCE.sub("''", spaced)


def fence(text: str) -> str:
    """Put a harmless text between delimiters (three quotation marks) that it cannot close."""
    return f'"""{harmless_text(text).strip()}"""'


# Controls (but tab and line feed), line separators, what reorders text in two directions, invisible
# operators and tags, lone surrogates. Joiners stay: emoji and several scripts need them. So do the
# flags that are spelled with tags.
_UNSEEN = re.compile(
    r"\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f|"
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2060-\u206f\ufff9-\ufffb\ud800-\udfff"
    r"\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""Return a text with its control characters as escapes, for a terminal or a page.

    >>> visible("bread\x1b[2J")
    'bread\\x1b[2J'
    """
    return _UNSEEN.sub(_as_escape, text.replace("\r\n", "\n"))


def _as_escape(found: re.Match[str]) -> str:
    character = found.group()
    is_flag = len(character) > 1
    return character if is_flag else character.encode("unicode_escape").decode("ascii")
