"""The language model of servers and examples that tests start: named by dotted path, instant.

`PATLM_MODEL=python:fake_models:word_by_word`, with the folder of the tests on the path.
"""

from __future__ import annotations

from fakes import Asked, ScriptedChat, fails
from patlm.nodes.dependencies import PromptBudget

NAME = "word-by-word"

STYLE_FIRST = "Short and warm."
STYLE_LATER = "Long winding sentences; semicolons; old words; never an exclamation mark."
PREFERENCE_SAYS = "They praise the warmth and grumble about the price."
DRAFT = "Warm from the first night on, and I would buy it again!"
DRAFT_LATER = "It has kept the frost from my bones; I commend it, the price notwithstanding."
TITLE = "Warm at last"
RATING = "4"

BROKEN = "refuse-this-request"
"""A request that holds this word is one that the model refuses, for good."""


class WordByWord(ScriptedChat):
    """Answers by role and task; another iteration brings another style summary and draft.

    So the loop does not settle, and its iterations can be told apart.
    """

    model_name: str = NAME


def word_by_word() -> WordByWord:
    """Return the model; a factory is what a dotted path names."""
    says = {"style": _style, "preference": PREFERENCE_SAYS, "integrate": _draft}
    return WordByWord(says=says, fault=_refusal)


def _style(asked: Asked) -> str:
    return STYLE_LATER if DRAFT in asked.user else STYLE_FIRST


def _draft(asked: Asked) -> str:
    # The task shows in how long the answer may be, whatever the prompts' wording.
    length = PromptBudget().answer
    if asked.options["max_tokens"] == length["rating"]:
        return RATING
    if asked.options["max_tokens"] == length["short"]:
        return TITLE
    return DRAFT_LATER if STYLE_LATER in asked.user else DRAFT


def _refusal(asked: Asked) -> ValueError | None:
    return ValueError(f"no answer to {BROKEN}") if BROKEN in asked.user else None


def scripted() -> ScriptedChat:
    """Return a model with the usual answers of each role."""
    return ScriptedChat()


def refusing() -> ScriptedChat:
    """Return a model that refuses every call."""
    return ScriptedChat(fault=fails(ValueError("out of\nwords")))
