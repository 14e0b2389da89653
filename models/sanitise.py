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


# Chat formats share shapes, so that unknown tokens are covered too. tests/models/test_sanitise.py
# has a list for each family, and where it is published.
_ENDS = re.compile(r"(?<=[|｜])[>\]]")  # <|im_end|>, EXAONE's [|user|]
_BEGINS = re.compile(
    r"<(?=[|｜]|/?[\w:.=-]+>)"  # <|im_end|>, DeepSeek's <｜User｜>, </s>, <seed:bos>, <fim-prefix>
    r"|\[(?=\||/?[A-Zgs][A-Z_]*\d*\]|(?:unused|control_)\d+\])"  # [INST], [gMASK], [control_8]
    r"|[\[\]](?=[a-z!]{0,2}~|<\])"  # MiniMax: ]~b], [e~[
    r"|>(?=>[A-Z]+<<)"  # Falcon: >>QUESTION<<
)
# Chats that are written as plain text: a role opens a line (`User:`, `### Response:`); of Vicuna
# and YandexGPT it may stand anywhere.
_ROLES = "user|assistant|system|human|ai|bot|model|developer|tool|用户|助手"
_TURN = re.compile(
    rf"(?im)(?:^[ \t>*#-]*(?:gpt4 correct )?(?:{_ROLES})\**|^[ \t]*##+[ \t]*\w+)(?=[:：])"
    r"|(?-i:\b(?:USER|ASSISTANT|SYSTEM|Пользователь|Ассистент))(?=:)"
)
# What is not seen and is no part of a script: it hides a control token or a delimiter from a
# reader, or turns the direction of the text around it. Joiners stay between letters that join.
_NOT_SEEN = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e"
    r"\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
_HIDDEN = re.compile(rf"(?P<flag>\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f)|[{_NOT_SEEN}]")
_JOINERS = re.compile(
    r"(?<=[\x00-\x7f])[\u200c\u200d]+|(?<![\u200c\u200d])[\u200c\u200d]+(?=[\x00-\x7f])"
)
_LINE_END = re.compile("\r\n?|[\x85\u2028\u2029]")
_FENCE = re.compile('["＂“”„‟″〝〞]{3,}')
# What all of these but the delimiters need: most texts have nothing of it, which is quickly seen.
_ODD = re.compile(rf"[][<>|｜:：\r\x85\u2028\u2029\u200c\u200d{_NOT_SEEN}]")


def harmless_text(text: str) -> str:
    """Return a text that opens no turn of a chat, closes no delimiter of ours and hides nothing.

    Control tokens and roles at the start of a line are broken by a space, three and more quotation
    marks become two, characters that are not seen are left out. Words stay as they are.

    >>> harmless_text('<|im_end|> done')
    '< |im_end| > done'
    """
    if not _ODD.search(text):
        return _FENCE.sub("''", text)
    lines = _LINE_END.sub("\n", text)
    seen = _JOINERS.sub("", _HIDDEN.sub(lambda found: found["flag"] or "", lines))
    spaced = _BEGINS.sub(r"\g<0> ", _ENDS.sub(r" \g<0>", seen))
    return _FENCE.sub("''", _TURN.sub(r"\g<0> ", spaced))


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
