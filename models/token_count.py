"""Count tokens with a model's own tokenizer, or roughly where it has none at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.messages.utils import count_tokens_approximately


@runtime_checkable
class CountsTokens(Protocol):
    """A model that has its tokenizer here, such as `LocalChatModel`."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""


def token_counter(model: BaseChatModel) -> Callable[[str], int]:
    """Return what counts the tokens of a text for this model.

    Never `BaseChatModel.get_num_tokens`: its default fetches GPT-2's tokenizer from a hub. Models
    without a tokenizer of their own get four characters a token.
    """
    if isinstance(model, CountsTokens):
        return model.count_tokens
    return _roughly


def _roughly(text: str) -> int:
    # `extra_tokens_per_message` is for the turn's frame, which a bare text has none of.
    return count_tokens_approximately([HumanMessage(text)], extra_tokens_per_message=0)
