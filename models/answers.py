"""Read the answers of language models: text without reasoning, why it ended, and whole sentences.

Reasoning models think aloud before they answer: in content blocks, in a field of its own, or
between tags in the text. None of it is part of an answer. `read_answer` reads a whole answer,
`VisibleText` a streamed one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk

LENGTH, WITHHELD = "length", "content_filter"

REASONING = "reasoning_removed"
"""Key of `response_metadata`: whether reasoning was removed from the answer."""

LEFT_OUT = "left_out"
"""Key of `response_metadata`: options that were not sent, by name, and why."""

_FINISH_KEYS = ("finish_reason", "stop_reason", "done_reason", "stopReason")
_FINISH_REASONS = {
    **dict.fromkeys(
        (
            "length",  # OpenAI, Ollama, Mistral, TGI, llama.cpp, vLLM, models loaded here
            "max_tokens",  # Anthropic, Google, Bedrock
            "max_output_tokens",  # OpenAI's Responses API
            "model_length",  # Mistral
            "model_context_window_exceeded",  # Anthropic
        ),
        LENGTH,
    ),
    **dict.fromkeys(
        (
            "content_filter",  # OpenAI
            "refusal",  # Anthropic
            "safety",  # Google, and the next four
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
        ),
        WITHHELD,
    ),
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "eos_token"), "stop"),
}

_NAMES = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "seed:think")
_TAGS = {
    **{f"<{name}>": f"</{name}>" for name in _NAMES},
    "[think]": "[/think]",  # Mistral
    "◁think▷": "◁/think▷",  # Kimi
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|start_thinking|>": "<|end_thinking|>",  # Cohere
    "<|channel|>analysis<|message|>": "<|channel|>final<|message|>",  # gpt-oss
}
_ANY_TAG = re.compile("|".join(map(re.escape, (*_TAGS, *_TAGS.values()))), re.IGNORECASE)
_FRAME = ("<answer>", "</answer>", "<|return|>", "<|end|>")
"""Marks around an answer that follows reasoning."""

_ANY_FRAME = re.compile("|".join(map(re.escape, _FRAME)), re.IGNORECASE)
_ANY_MARK = re.compile(f"{_ANY_TAG.pattern}|{_ANY_FRAME.pattern}", re.IGNORECASE)
_MARKS = (*_TAGS, *_TAGS.values(), *_FRAME)
_LONGEST_MARK = max(map(len, _MARKS)) - 1
# gpt-oss, decoded without its special tokens.
_BARE_CHANNELS = re.compile(r"\Aanalysis.*?assistant\s*final", re.DOTALL)
_HIDDEN_BLOCKS = ("thinking", "redacted_thinking", "reasoning", "reasoning_content")
_HIDDEN_FIELDS = ("reasoning_content", "reasoning", "thinking")

_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Za-z]|e\.g|i\.e|etc|vs|ca|cf|approx|no|nr|mr|mrs|ms|dr|prof|st|sra?|inc)\.$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]*]*(?=\s|\Z)|[。！？]+[」』”）]*")


@dataclass(frozen=True)
class ModelAnswer:
    """What a model answered.

    Attributes:
        text: The answer without reasoning, stripped.
        reasoning_removed: Whether there was reasoning.
        finish_reason: Why it ended: `stop`, `length`, `content_filter`, or the provider's own word;
            None if it was not told.
        left_out: Options that were not sent, by name, and why.
        tokens_in: Tokens of the prompt; None if unknown.
        tokens_out: Tokens of the answer, reasoning included; None if unknown.
    """

    text: str
    reasoning_removed: bool = False
    finish_reason: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    tokens_in: int | None = None
    tokens_out: int | None = None

    @property
    def cut(self) -> bool:
        """Whether it reached its limit of tokens."""
        return self.finish_reason == LENGTH

    @property
    def withheld(self) -> bool:
        """Whether the provider's filter withheld it."""
        return self.finish_reason == WITHHELD


def read_answer(message: BaseMessage, *, inside: bool = False) -> ModelAnswer:
    """Read the answer in a message of any provider.

    Args:
        message: As LangChain's class of the provider gives it.
        inside: Whether the prompt ended with an opening tag, so that reasoning comes first.
    """
    metadata = message.response_metadata
    text, removed = without_reasoning(visible_content(message.content), inside=inside)
    usage: Any = getattr(message, "usage_metadata", None) or {}
    return ModelAnswer(
        text=text.strip(),
        reasoning_removed=removed or bool(metadata.get(REASONING)) or _thought_apart(message),
        finish_reason=finish_reason(metadata),
        left_out=metadata.get(LEFT_OUT) or {},
        tokens_in=usage.get("input_tokens"),
        tokens_out=usage.get("output_tokens"),
    )


def finish_reason(metadata: Mapping[str, Any]) -> str | None:
    """Return why an answer ended, in one vocabulary for all providers; None if it was not told."""
    # OpenAI's Responses API says only why an answer is incomplete.
    incomplete = metadata.get("incomplete_details") or {}
    whole = "stop" if metadata.get("status") == "completed" else None
    told = [incomplete.get("reason"), *(metadata.get(key) for key in _FINISH_KEYS), whole]
    reason = next((str(each) for each in told if each), None)
    if reason is None:
        return None
    word = reason.rpartition(".")[2].casefold()  # "FinishReason.MAX_TOKENS"
    return _FINISH_REASONS.get(word, word)


def without_reasoning(text: str, *, inside: bool = False) -> tuple[str, bool]:
    r"""Return a text without the reasoning between tags, and whether there was any.

    Unclosed reasoning reaches to the end. A closing tag without an opening one ends reasoning that
    began with the answer: some chat templates put the opening tag into the prompt.

    >>> without_reasoning("<think>Hm.</think>\n\nFine.")
    ('Fine.', True)
    >>> without_reasoning("Hm.</think>Fine.")
    ('Fine.', True)
    """
    text, bare = _BARE_CHANNELS.subn("", text)
    kept: list[str] = []
    removed, at = inside or bool(bare), 0
    for tag in _ANY_TAG.finditer(text):
        opens = tag[0].lower() in _TAGS
        if not inside:
            kept.append(text[at : tag.start()])
        if not inside and not opens and (not removed or text[tag.end() :].strip()):
            kept.clear()
        inside, removed, at = opens, True, tag.end()  # the first closing tag ends it
    if not inside:
        kept.append(text[at:])
    whole = "".join(kept)
    return (_ANY_FRAME.sub("", whole).lstrip(), True) if removed else (whole, False)


def ends_inside_reasoning(prompt: str) -> bool:
    """Return whether a templated prompt ends with an opening tag: the answer then begins inside."""
    return prompt.rstrip().lower().endswith(tuple(_TAGS))


def ends_unmarked(text: str) -> bool:
    """Return whether an answer ends reasoning whose beginning it does not mark."""
    first = _ANY_TAG.search(text)
    return first is not None and first[0].lower() not in _TAGS


class VisibleText:
    """Removes reasoning from a streamed answer, piece by piece.

    Args:
        inside: As in `read_answer`.
        hold: Whether to show nothing before the end: a model may end reasoning whose beginning
            is not marked, and what was shown can't be taken back.
    """

    def __init__(self, *, inside: bool = False, hold: bool = False) -> None:
        self._inside = inside
        self._hold = hold
        self._buffer = ""
        self._shown = False
        self.removed = inside
        """Whether there was reasoning so far."""

    def feed(self, piece: str) -> str:
        """Add a piece; return what can be shown now."""
        self._buffer += piece
        if self._hold:
            return ""
        out = []
        while (mark := _ANY_MARK.search(self._buffer)) is not None:
            framing = mark[0].lower() in _FRAME
            if not self._inside:
                out.append(self._buffer[: mark.start()])
                out.append(mark[0] if framing and not self.removed else "")
            if not framing:
                self._inside, self.removed = mark[0].lower() in _TAGS, True
            self._buffer = self._buffer[mark.end() :]
        held = _partial_mark(self._buffer)
        if not self._inside:
            out.append(self._buffer[: len(self._buffer) - held])
        self._buffer = self._buffer[len(self._buffer) - held :]
        return self._show("".join(out))

    def rest(self) -> str:
        """Return what is left at the end."""
        left, self._buffer = self._buffer, ""
        if self._hold:
            text, self.removed = without_reasoning(left, inside=self._inside)
            return self._show(text)
        return self._show("" if self._inside else left)

    def _show(self, text: str) -> str:
        text = text if self._shown or not self.removed else text.lstrip()
        self._shown = self._shown or bool(text.strip())
        return text


def whole_sentences(text: str) -> str:
    """Return a text up to its last whole sentence; without one, up to its last whole word.

    >>> whole_sentences("It is bright. I like how it")
    'It is bright.'
    """
    ends = [
        found.end()
        for found in _SENTENCE_END.finditer(text)
        if not _ABBREVIATION.search(text[: found.end()]) and not _half_number(text, found)
    ]
    if ends:
        return text[: ends[-1]]
    line, _, _ = text.rstrip().rpartition("\n")
    return line.rstrip() if line.strip() else whole_words(text)


def whole_words(text: str) -> str:
    """Return a text without its last word, which may be cut; a lone word stays.

    >>> whole_words("A lamp for lo")
    'A lamp for'
    """
    front = re.sub(r"\s*\S+\s*\Z", "", text)
    return front.rstrip(" ,;:–—-") or text.strip()


def _half_number(text: str, end: re.Match[str]) -> bool:
    """Whether a point at the end of a text may be that of a number ("it costs 3.")."""
    digit_before = text[end.start() - 1 : end.start()].isdigit()
    return end[0] == "." and end.end() == len(text) and digit_before


def _partial_mark(text: str) -> int:
    """Return the length of the longest end of a text that begins a tag."""
    lower = text[-_LONGEST_MARK:].lower()
    for length in range(len(lower), 0, -1):
        if any(mark.startswith(lower[-length:]) for mark in _MARKS):
            return length
    return 0


def visible_content(content: str | list[str | dict[Any, Any]]) -> str:
    """Return the text in a message's content, without blocks of reasoning and the like."""
    if isinstance(content, str):
        return content
    return "".join(block if isinstance(block, str) else _block_text(block) for block in content)


def _block_text(block: Mapping[str, Any]) -> str:
    text = block.get("text")
    shown = block.get("type", "text") in ("text", "output_text") and not block.get("thought")
    return text if shown and isinstance(text, str) else ""


def _thought_apart(message: BaseMessage) -> bool:
    """Whether reasoning came in blocks or in a field of its own."""
    if any(message.additional_kwargs.get(name) for name in _HIDDEN_FIELDS):
        return True
    if isinstance(message.content, str):
        return False
    blocks = [block for block in message.content if isinstance(block, dict)]
    return any(block.get("type") in _HIDDEN_BLOCKS or block.get("thought") for block in blocks)


def piece_of_answer(text: str) -> ChatGenerationChunk:
    """Return the next piece of a streamed answer."""
    from langchain_core.messages import AIMessageChunk
    from langchain_core.outputs import ChatGenerationChunk

    return ChatGenerationChunk(message=AIMessageChunk(content=text))
