"""Take a text out of a model's answer: without what the model says about it.

Models introduce what they were asked for ("Sure, here is a short review:"), put it in quotation
marks, give it a heading, and say goodbye. Only what can't be the text itself is removed: a line
that a person may have written stays.
"""

from __future__ import annotations

import re

_PAIRS = {'"': '"', "“": "”", "„": "“”", "«": "»", "»": "«", "'": "'", "‘": "’", "`": "`"}
_BROKEN_OFF = '"“„«'
"""Quotation marks whose closing one may be missing, in an answer that was cut."""

_WHAT = (
    r"draft|review|text|version|reply|response|answer|e-?mail|mail|letter|message|note|title|"
    r"headline|heading|post|comment|paragraph|piece|description|summary|rewrite|revision|"
    r"card|style card|sentence|sentences|write-up|example|suggestion|option|translation"
)
_AGREES = (
    r"sure(?: thing)?|certainly|of course|absolutely|gladly|okay|ok|alright|all right|great|"
    r"no problem|understood|got it|happy to help|with pleasure"
)
_HERE = (
    r"here(?:['’]s|\s+is|\s+are|\s+goes|\s+you\s+(?:go|are))|below\s+(?:is|are|you['’]ll\s+find)|this\s+is|"
    r"the\s+following\s+is|i(?:['’]ve|\s+have)\s+(?:written|drafted|prepared|revised)"
)
_ABOUT = rf"(?:\b(?!my\b)[\w'’-]+\s+){{0,6}}?\b(?:{_WHAT})\b[^\n:]*"
_A_TEXT = (
    r"here(?:['’]s|\s+is)\s+(?:an?|your)\s+(?:[\w'’-]+\s+){0,4}?"
    r"(?:draft|review|text|version|response|rewrite)\b[^\n:]*"
)
_APART = r"(?=[*_]*\s*(?:\n|[\"“„«]))"
"""A colon after which the text begins on a line of its own, or in quotation marks."""

_INTRODUCTIONS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "Sure, here is a review:", "Certainly! Below is what you want:" and a new line, "Sure!"
        rf"^(?:{_AGREES})\s*[,.!:–-]+\s*{_A_TEXT}:",
        rf"^(?:{_AGREES})\s*[,.!:–-]+\s*(?:{_HERE})\b[^\n:]*:{_APART}",
        r"^(?:sure|certainly|of course|understood|got it)\s*[.!:]+\s*(?=\n)",
        # "Here's a short review ...: It is", and "Here is the message:" only before a new line
        rf"^{_A_TEXT}:",
        rf"^(?:{_HERE})\s+{_ABOUT}:{_APART}",
        # "Based on the style above, here is ...:"
        rf"^(?:based\s+on|in\s+the\s+style|as\s+requested|as\s+you\s+asked)\b[^\n:]*,?\s+"
        rf"{_A_TEXT}:",
        # "I'd be happy to help! Here is ...:"
        rf"^i(?:['’]d|\s+would)\s+be\s+(?:happy|glad)\s+to\s+help[^\n:]*?(?:{_HERE})\b[^\n:]*:",
        # Portuguese, Spanish, German, French, Italian, Dutch
        r"^¡?(?:claro|certo|com certeza|por supuesto|desde luego|natürlich|gerne?|klar|bien sûr|"
        r"d['’]accord|volontiers|certamente|natuurlijk)[^\n:]{0,10}[,!.:]\s*"
        r"(?:aqui (?:está|vai)|aquí (?:está|tienes|va)|hier (?:ist|sind|is)|voici|ecco)\b[^\n:]*:"
        + _APART,
        r"^(?:aqui (?:está|vai)|aquí (?:está|tienes|va)|hier (?:ist|is)|voici|ecco)\s+"
        r"(?:um|uma|o|a|un|una|el|la|le|lo|il|ein|eine|der|die|das|een|de)\s+[^\n:]{0,60}:"
        + _APART,
    )
)
_LABEL = re.compile(
    rf"^(?:#+\s*(?P<head>{_WHAT})\s*:?\s*(?=\n)|\*\*(?P<bold>{_WHAT})\s*:?\s*\*\*\s*:?"
    rf"|(?P<plain>{_WHAT})\s*:\s*(?=\n))",
    re.IGNORECASE,
)
_RULE = re.compile(r"^[ \t]*(?:[-*_=~]\s*){3,}$")
_FENCED = re.compile(r"^```\w*[ \t]*\n(?P<inside>.*?)\n?```$", re.DOTALL)
_GOODBYES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"^let me know if (?:you(?:['’]d| would)? (?:like|want|need)|this|there)\b[^\n]*$",
        r"^(?:please )?(?:feel free to|don['’]t hesitate to) "
        r"(?:let me know|ask for|adjust|modify|edit)\b[^\n]*$",
        r"^i hope this (?:meets|matches|captures|fits|reflects)\b[^\n]*$",
        r"^is there anything (?:else )?you(?:['’]d| would) like[^\n]*\?$",
        r"^[(\[*_]*(?:word count|length|words)\s*:\s*(?:about |approx\w*\.? )?\d+(?: words)?"
        r"[)\]*_.]*$",
        r"^[(\[]\s*\d+ words\s*[)\]]$",
        r"^[(*_]*note:\s+(?:this|the) (?:draft|review|text|version|reply|response|above)\b[^\n]*$",
    )
)
_HEADING_MARKS = re.compile(r"^(?:#+\s*|\*\*|__)|(?:\*\*|__)$")


_NEXT_TURN = re.compile(r"\n\s*(?:Human|Assistant):[^\n]*(?:\n.*)?\Z", re.DOTALL)
"""The next turn of the chat, which a model invents that may not end yet."""

_REFUSAL = re.compile(
    r"(?:(?:i['’]m|i am) (?:very |really |so )?sorry|sorry|i apologi[sz]e|unfortunately)?[,.]?\s*"
    r"(?:but )?(?:as an? ai\b[^,.]*,\s*)?"
    r"(?:i (?:can['’]?t|cannot|can not|am (?:unable|not able) to)|i['’]m (?:unable|not able) to)\s+"
    r"(?:(?:assist|help)(?: you)? with (?:(?:that|this)\b|(?:your|the) request\b)"
    r"|(?:fulfil|fulfill|complete|comply with) (?:that|this|your|the) request\b"
    r"|(?:provide|write|create|generate|produce)\b[^.\n]*"
    r"\b(?:such|that|this) (?:text|content|material)s?\b)",
    re.IGNORECASE,
)


def is_refusal(answer: str) -> bool:
    """Return whether an answer begins as a model's refusal to write, not as the text.

    Examples:
        >>> is_refusal("I'm sorry, but I can't assist with that request.")
        True
        >>> is_refusal("I'm sorry to say that I can't help but love this lamp.")
        False
    """
    return _REFUSAL.match(answer.strip()) is not None


def without_preamble(answer: str, title: str | None = None) -> str:
    r"""Return the text in an answer, without what is said about it.

    Removed, around the text and never inside: an introduction that ends with a colon, a heading
    that names the kind of text or repeats the title, rules, code fences, quotation marks around the
    whole, closing remarks to the user, and a next turn of the chat ("Human: ...").

    Args:
        answer: The model's answer.
        title: The title that the text was asked for; a first line that repeats it is removed.

    Examples:
        >>> without_preamble('Sure, here is a short review:\n\n"A fine lamp."')
        'A fine lamp.'
        >>> without_preamble("Here is what I liked: the lamp.")
        'Here is what I liked: the lamp.'
    """
    text, before = answer.strip(), None
    while text != before:
        before = text
        text = _NEXT_TURN.sub("", text)
        for step in (_without_fence, _without_rules, _without_introduction, unquoted):
            text = step(text)
        text = _without_goodbye(_without_heading(text, title))
    return text


def unquoted(text: str) -> str:
    """Remove quotation marks around the whole text; the closing one may be missing.

    Examples:
        >>> unquoted('"A fine lamp."'), unquoted('"Fine" is the word, "very" too.')
        ('A fine lamp.', '"Fine" is the word, "very" too.')
    """
    text = text.strip()
    if not text.strip('"'):
        return ""
    while text[:3] != "```" and text[:1] in _PAIRS and (inside := _inside(text)) is not None:
        text = inside.strip()
    return text


def _inside(text: str) -> str | None:
    """Return what stands between the first and the last mark; None if they are no pair."""
    opening, closing = text[0], _PAIRS[text[0]]
    if len(text) > 1 and text[-1] in closing:
        inner = text[1:-1]
        return inner if _is_balanced(inner, opening, closing) else None
    marks = {mark for pair in _PAIRS.items() for part in pair for mark in part} - set("'’‘`")
    if opening not in _BROKEN_OFF or any(mark in marks for mark in text[1:]):
        return None
    return text[1:]


def _is_balanced(inner: str, opening: str, closing: str) -> bool:
    """Return whether the marks inside open before they close."""
    depth, opened = 0, True
    for place, mark in enumerate(inner):
        if mark != opening and mark not in closing:
            opened = mark.isspace() or mark in "([{—–-"
            continue
        after = inner[place + 1 : place + 2]
        if opening != closing:
            opens = mark == opening
        elif mark == "'" and not opened and after.isalnum():  # an apostrophe
            continue
        else:
            opens = opened and bool(after) and not after.isspace()
        depth += 1 if opens else -1
        opened = opens
        if depth < 0:
            return False
    return depth == 0


def _without_fence(text: str) -> str:
    found = _FENCED.match(text)
    return found["inside"].strip() if found and "```" not in found["inside"] else text


def _without_rules(text: str) -> str:
    lines = text.splitlines()
    while len(lines) > 1 and (_RULE.match(lines[0]) or not lines[0].strip()):
        lines.pop(0)
    while len(lines) > 1 and (_RULE.match(lines[-1]) or not lines[-1].strip()):
        lines.pop()
    return "\n".join(lines) if len(lines) < len(text.splitlines()) else text


def _without_introduction(text: str) -> str:
    """Remove what the model says before the text, if a text follows."""
    plain = text.lstrip("*_ ")
    for introduction in _INTRODUCTIONS:
        found = introduction.match(plain)
        if found and (rest := plain[found.end() :].lstrip("*_: \t").strip()):
            return rest
    return text


def _without_heading(text: str, title: str | None) -> str:
    """Remove a first line that names the kind of text, or repeats the title."""
    found = _LABEL.match(text)
    if found and (rest := text[found.end() :].strip()):
        return rest
    first, _, rest = text.partition("\n")
    if not title or not rest.strip():
        return text
    bare = re.sub(r"^(?:title|subject)\s*:\s*", "", _bare(first), flags=re.IGNORECASE)
    return rest.strip() if _same(bare, title) else text


def _without_goodbye(text: str) -> str:
    """Remove closing remarks: whole last paragraphs, never the only one."""
    head, line, last = text.rstrip().rpartition("\n")
    if line and head.strip() and any(bye.match(last.strip()) for bye in _GOODBYES):
        return head.rstrip()
    return text


def _bare(line: str) -> str:
    return unquoted(_HEADING_MARKS.sub("", line.strip()).strip())


def _same(one: str, other: str) -> bool:
    words = [re.findall(r"\w+", text.casefold()) for text in (_bare(one), other)]
    return words[0] == words[1] and bool(words[0])
