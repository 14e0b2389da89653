"""Token ids of prompts and answers, made as serving makes them.

Samples that carry their own ids are trained on as they are; these functions are for what has none:
answers that were written without a language model, and the real texts of people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...models.sanitise import control_tokens, neutralise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ...stores.episodes.schema import Sample


def harmless(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[tuple[str, str]]
) -> list[dict[str, str]]:
    """Return the turns of a prompt with control tokens in their texts broken.

    Args:
        tokenizer: Whose control tokens.
        messages: Role and content of each turn.
    """
    control = control_tokens(tokenizer)
    return [{"role": role, "content": neutralise(text, control)} for role, text in messages]


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[tuple[str, str]]
) -> list[int]:
    """Return the ids of a prompt after its chat template, up to where the answer begins."""
    text = tokenizer.apply_chat_template(
        harmless(tokenizer, messages), tokenize=False, add_generation_prompt=True
    )
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def answer_ids(tokenizer: PreTrainedTokenizerBase, text: str, most: int | None = None) -> list[int]:
    """Return the ids of an answer and the token that ends it.

    Args:
        tokenizer: The model's.
        text: The answer.
        most: Tokens at most; a longer answer is cut and does not end. None: all of it.
    """
    safe = neutralise(text, control_tokens(tokenizer))
    ids: list[int] = tokenizer(safe, add_special_tokens=False)["input_ids"]
    whole = [*ids, int(tokenizer.eos_token_id)]
    return whole if most is None else whole[:most]


def encoded(tokenizer: PreTrainedTokenizerBase, base: str, sample: Sample) -> Sample:
    """Return a sample of a server with the ids that this tokenizer gives its texts.

    They need not be those that were generated, so nothing that weighs by how likely a sample was
    (GRPO) may use them. One that carries its ids, or has no text, is returned as it is.

    Args:
        tokenizer: Of the model that is trained.
        base: Its fingerprint, which the sample then bears.
        sample: Any.
    """
    if sample.exact or sample.text is None or not sample.messages:
        return sample
    turns = [(turn.role, turn.content) for turn in sample.messages]
    ids = answer_ids(tokenizer, sample.text)
    cut_off = sample.finish_reason == "length"
    return sample.model_copy(
        update={
            "base": base,
            "prompt_token_ids": tuple(prompt_ids(tokenizer, turns)),
            "token_ids": tuple(ids[:-1] if cut_off else ids),
        }
    )


def count_with(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """Return the number of tokens of a text, without the frame of a chat turn."""
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
