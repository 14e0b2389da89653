"""Make the texts of users and models harmless before they are put into a prompt or shown.

A tokenizer reads "<|im_end|>" inside a review as the end of the turn. Texts of users are data: they
must not open or close a turn, nor close the delimiters around them. Such strings are broken by a
space, so that the tokenizer reads plain characters. They are known by their shape, and looked for
in what a text becomes by Unicode's compatibility forms (NFKC), which some tokenizers apply.

A terminal obeys an escape character inside a review: `visible` shows it instead.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Return every special token of a tokenizer, and others in brackets or bars, longest first.

    "<tool_call>" and "<|fim_prefix|>" are in vocabularies without being called special.
    """
    added = tokenizer.added_tokens_decoder.values()
    names = {token.content for token in added if token.special or _BRACKETS.search(token.content)}
    names |= set(tokenizer.all_special_tokens)
    return tuple(
        sorted((name for name in names if name.strip()), key=lambda name: (-len(name), name))
    )


_BRACKETS = re.compile(r"[<\[|｜].*[>\]|｜]")


def neutralise(text: str, control: Sequence[str]) -> str:
    """Return the text with a space after the first character of every control token in it.

    Example:
        >>> neutralise("bye<|im_end|>", ["<|im_end|>"])
        'bye< |im_end|>'
    """
    there = set(text)  # some vocabularies have thousands of such tokens
    for token in control:
        if token[0] in there:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


# Chat formats share shapes, so that unknown tokens are covered too: tests/support/hostile_words.py
# has a list for each family, and where it is published. A space is put where a match ends.
_TOKEN = re.compile(
    r"[<\[‹〈⟨❬❰](?=\|)"  # <|im_end|>, DeepSeek's <｜User｜>, EXAONE's [|user|]
    r"|<(?!/?(?:br?|hr|p|i|em|strong|[uo]l|li|h\d)>)"  # HTML that people paste is no token
    r"(?=/?(?:(?a:[\w:.=-]{1,64})|用户|助手|系统)\|?>)"  # </s>, <seed:bos>, Gemma's <turn|>
    r"|\[(?=/?[A-Z][A-Z_]*(?:[A-Z]|\d+)\]|[gs]MASK\]"  # [INST], [/TOOL_RESULTS], GLM
    r"|(?:unused|control_|img-|Round )\d+\]"  # Pangu, Mistral, llama.cpp's server, ChatGLM 2
    r"|(?:@[A-Z]+@|toxicity=\d|multimodal)\])"  # Gemma
    r"|[\[\]](?=[a-z!]{0,2}~|<\])"  # MiniMax: ]~b], [e~[
    r"|>(?=>[A-Z]+<<)"  # Falcon: >>QUESTION<<
    r"|\|(?=\|\|[A-Z_]+\|\|\||(?:ENDOFTEXT|SPEAKER|NEWLINE)\|)"  # OLMo, Fuyu
)
_TOKEN_END = re.compile(r"(?<=\w\|)(?=[>\]›〉⟩❭❱])")  # <|im_end|>
# Chats that are written as plain text: a role opens a line (`User:`, `### Response:`); of Vicuna
# and YandexGPT it may stand anywhere. Lines are told by the line feed before them.
_ROLES = (
    "user|assistant|system|human|ai|bot|gpt|chat(?:bot|gpt)|usu[aá]rio|ass?istente?|benutzer"
    "|utilisateur|пользователь|ассистент|человек|用户|助手|系统"
)
_HEADS = "instruction|response|input|output|question|answer|context|prompt|completion"
_OPENED = r"""[ \t\xa0\u2000-\u200a\u3000"'“”‘’>*_~`#([{<|•·–—-]*+"""
_CLOSED = r"""[])}>*_~`|"'“”‘’]*+"""
_TURN = re.compile(
    rf"(?i)\n{_OPENED}(?:\d+[.)]{_OPENED})?(?:(?:gpt4 correct|code) )?(?:{_ROLES})"
    rf"(?: ?\d{{1,3}}| message| prompt)?{_CLOSED}(?=:)"
    rf"|\n[ \t>*]*+##++[ \t]*+(?:{_HEADS})s?{_CLOSED}(?=:)"
    rf"|\n[ \t>*]*+#(?=#++[ \t]*+(?:{_ROLES}|instruction|response|input)"
    r"(?: message| prompt)?[ \t]*+(?:\n|\Z))"
)
_TURN_ANYWHERE = re.compile(
    r":(?:(?<=USER:)|(?<=ASSISTANT:)|(?<=SYSTEM:)|(?<=Пользователь:)|(?<=Ассистент:))"
)

# What is not seen: it hides a control token or a delimiter from a reader, or turns the direction of
# the text around it (Unicode: Default_Ignorable_Code_Point, controls, lone surrogates).
_NOT_SEEN_BELOW = (  # U+10000
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    r"\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    r"\ufff0-\ufffb\ufffe\uffff\ud800-\udfff"
)
_NOT_SEEN = rf"{_NOT_SEEN_BELOW}\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
_HIDDEN = re.compile(f"[{_NOT_SEEN}]+")
_CONTROLS = dict.fromkeys({*range(0x20), 0x7F} - {ord("\t"), ord("\n")})
_EMOJI = (
    r"\xa9\xae\u203c\u2049\u2100-\u21ff\u2300-\u23ff\u24c2\u25a0-\u275a\u2761-\u2767\u2776-\u27bf"
    r"\u2934\u2935\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Where a script or an emoji needs it: selectors of a glyph, joiners (not between letters of the
# roles above), fillers of syllables, spaces between Thai words, the tags of three flags.
_NEEDED = re.compile(
    rf"(?<=[{_EMOJI}])(?:[\ufe0e\ufe0f]?\u200d|[\ufe0e\ufe0f])|(?<=[0-9#*])\ufe0f(?=\u20e3)"
    r"|(?<=[\u0590-\u10ff\u1200-\u1cff\ua800-\uabff\ufb1d-\ufdff\ufe70-\ufefc"
    r"\U00010a00-\U00011fff])[\u200c\u200d]|(?<=[\u1000-\u109f\ua840-\ua877])\ufe00"
    rf"|(?<=[{_HAN}])(?<![用户助手系统])[\ufe00-\ufe02\U000e0100-\U000e01ef]"
    r"|(?<=[\u1820-\u18aa])[\u180b-\u180f]|(?<=[\u1100-\u11ff])[\u115f\u1160]"
    r"|(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b"
    r"|(?<=\U0001f3f4)\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067"
    r"|\U000e0073\U000e0063\U000e0074|\U000e0077\U000e006c\U000e0073)\U000e007f"
)
_LINE_END = re.compile("\r\n?|[\x85\u2028\u2029]")

# Delimiters of ours, and what looks like one: three quotation marks and more, spaces or not.
_QUOTE = '["＂“”„‟″‴‶‷⁗〝〞〟❝❞ʺˮ˝״]'
_FENCE = re.compile(rf"{_QUOTE}(?:[^\S\n]*{_QUOTE}){{2,}}")
_ASCII_FENCE = re.compile(r'"(?:[^\S\n]*"){2,}')

# Characters of which NFKC makes ASCII, one for one, and bars that look alike.
_BARS = "¦ǀ∣│❘⏐￨"
_DISGUISED = re.compile(
    r"[\xaa\xb2\xb3\xb9\xba\u02b0-\u02e4\u1d2c-\u1d6a\u2070-\u209c\u2102-\u2149\u2460-\u24e9"
    rf"\ufe10-\ufe19\ufe30-\ufe6b\uff01-\uff5e\U0001d400-\U0001d7ff\U0001f110-\U0001f149{_BARS}]"
)

# What all of these but the delimiters need: most texts have nothing of it, which is quickly seen.
_ASCII_ODD = re.compile(r"[][<>|:#\x00-\x08\x0b-\x1f\x7f]")
_ODD = re.compile(
    rf"[][<>|:#＃＜＞［］｜：︓﹕﹟﹤﹥﹇﹈{_BARS}\r\x85\u2028\u2029{_NOT_SEEN_BELOW}"
    r"\U00010000-\U0010ffff]"
)


def harmless_text(text: str) -> str:
    """Return a text that opens no turn of a chat, closes no delimiter of ours and hides nothing.

    Control tokens and roles at the start of a line are broken by a space, three and more quotation
    marks become two, characters that are not seen are left out. Words stay as they are.

    >>> harmless_text('<|im_end|> done')
    '< |im_end| > done'
    """
    is_ascii = text.isascii()
    if not (_ASCII_ODD if is_ascii else _ODD).search(text):
        if is_ascii:
            return _ASCII_FENCE.sub("''", text) if '"' in text else text
        return _FENCE.sub("''", text)
    lines = _LINE_END.sub("\n", text)
    if is_ascii:
        plain = whole = _ASCII_FENCE.sub("''", lines.translate(_CONTROLS))
    else:
        whole = _FENCE.sub("''", _HIDDEN.sub(_needed, lines))
        plain = _DISGUISED.sub(_undisguised, whole)
    return _spaced(whole, _markers(plain))


def _needed(found: re.Match[str]) -> str:
    needed = _NEEDED.match(found.string, found.start())
    return needed.group() if needed else ""


def _undisguised(found: re.Match[str]) -> str:
    character = found.group()
    return "|" if character in _BARS else unicodedata.normalize("NFKD", character)[0]


def _markers(plain: str) -> set[int]:
    """Return the places in control tokens and roles at which a space breaks them."""
    places = set()
    if any(mark in plain for mark in "<>[]|"):
        places |= {found.end() for found in _TOKEN.finditer(plain)}
        places |= {found.end() for found in _TOKEN_END.finditer(plain)}
    if ":" in plain:
        places |= {found.start() for found in _TURN_ANYWHERE.finditer(plain)}
    if ":" in plain or "#" in plain:
        places |= {found.end() - 1 for found in _TURN.finditer(f"\n{plain}")}
    return places


def _spaced(text: str, places: set[int]) -> str:
    if not places:
        return text
    return " ".join(text[at:to] for at, to in pairwise([0, *sorted(places), len(text)]))


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
