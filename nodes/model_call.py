"""Call the language model of a role, read its answer, and record the call for the trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from langgraph.constants import TAG_NOSTREAM

from ..models.answers import ModelAnswer, read_answer, whole_sentences, whole_words
from ..models.errors import CallRefused, ModelClosed, ModelNotFound, ModelUnusable, RemoteFailed
from ..models.local.sampling import BASE
from ..stores.search.threads import in_thread_if
from .dependencies import ChatRole
from .errors import EmptyAnswerError, LoopError, ModelCallError
from .guards.drafts import Guard, cut, note, say
from .node import Turn
from .prompts.build import Prompt

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

FINAL = (
    ValueError,
    TypeError,
    NotImplementedError,
    CallRefused,
    ModelClosed,
    ModelNotFound,
    ModelUnusable,
    RemoteFailed,  # the model has retried already
)
"""Errors of a model that a retry can't fix."""

Unit = Literal["sentence", "word"]

_SHORTEN: Mapping[Unit, Callable[[str], str]] = {"sentence": whole_sentences, "word": whole_words}
_SAMPLING = (
    "temperature",
    "top_p",
    "seed",
    "max_tokens",
    "min_tokens",
    "no_repeat_ngram_size",
    "repetition_penalty",
)
_WRITTEN = {"integrate": "draft"}
_CAPTURED = ("prompt_token_ids", "token_ids", "logprobs")


@dataclass(frozen=True)
class Wanted:
    """What is done with an answer of a model.

    Attributes:
        unit: An answer that reached its limit of tokens ends at its last whole unit, and a warning
            says so; None: it stays as it is (a rating, a sample for training).
        may_be_empty: Whether an empty answer is an answer. If not, it is asked for once more with
            twice the tokens, and is then an error.
    """

    unit: Unit | None = None
    may_be_empty: bool = False


async def call_model(
    turn: Turn,
    role: str,
    prompt: Prompt,
    *,
    max_tokens: int,
    wanted: Wanted = Wanted(),  # noqa: B008 - frozen
    guard: Guard | None = None,
    warnings: list[str] | None = None,
    **options: Any,
) -> tuple[str, dict[str, Any]]:
    """Ask the model of a role and return its answer with the call's record.

    Reasoning is no part of either. The record holds the fields of a `Sample` that a call decides;
    token ids and log-probabilities are None where the run does not capture, or the model does not
    give them. Its text is the whole answer, also where the returned one is shortened.

    Args:
        turn: The node's turn.
        role: The role whose model is called.
        prompt: The prompt.
        max_tokens: Maximum length of the answer.
        wanted: What is done with an answer that is cut or empty.
        guard: What an answer may not repeat: it is asked for once more, then cut.
        warnings: What the caller of the run should know is added here.
        options: Options of this call; they override the role's options of the same names.

    Raises:
        EmptyAnswerError: The model answered nothing, twice.
        ModelCallError: The model failed; transient unless it refused the call.
    """
    chat = turn.parts.role(role)
    captured = turn.parts.capture and chat.base is not None
    max_tokens += chat.reasoning_room
    given = {**chat.options, **_serving_options(turn, role)}
    given |= {"max_tokens": max_tokens, **({"capture": True} if captured else {}), **options}
    call: dict[str, Any] = {
        "role": role,
        "model": chat.name,
        "base": chat.base,
        "adapter": given.get("adapter", BASE),
        "messages": _turns(prompt),
        "sampling": _sampling(given),
    }
    answer = await _ask(chat, prompt, given, call, captured=captured)
    if not answer.text and not wanted.may_be_empty:
        if not answer.withheld:
            given["max_tokens"] = 2 * max_tokens
            call["sampling"] = _sampling(given)
            answer = await _ask(chat, prompt, given, call, captured=captured)
        if not answer.text:
            empty = {**call, "text": None}
            raise EmptyAnswerError(role, chat.name, answer, max_tokens, call=empty)
    said = [f"{chat.name} was not sent {name}: {why}" for name, why in answer.left_out.items()]
    text = _whole(answer, wanted, role, given, said)
    if guard is not None:
        text = await _guarded(turn, prompt, given, call, wanted, guard, text, said)
    if warnings is not None:
        warnings += said
    return text, call


async def _guarded(
    turn: Turn,
    prompt: Prompt,
    given: Mapping[str, Any],
    call: dict[str, Any],
    wanted: Wanted,
    guard: Guard,
    text: str,
    said: list[str],
) -> str:
    """Return an answer that repeats nothing that it may not: asked for once more, then cut.

    It is not asked for where the deadline would pass. The record has the last answer as it came.
    """
    faults = await in_thread_if(turn.is_long, guard.faults, text)
    if not faults:
        return text
    role, cause = call["role"], say(faults)
    what = _WRITTEN.get(role, "summary")
    if turn.seconds_left > 2 * call["seconds"]:
        said.append(f"{role}: the {what} repeated {cause}: it was asked for once more")
        first = {name: call.get(name) for name in ("text", "finish_reason", *_CAPTURED)}
        asked = replace(prompt, user=f"{prompt.user}\n\n{note(faults)}")
        chat, captured = turn.parts.role(role), "capture" in given
        answer = await _ask(chat, asked, given, call, captured=captured)
        if answer.text:
            call["messages"] = _turns(asked)
            text = _whole(answer, wanted, role, given, said)
            faults = await in_thread_if(turn.is_long, guard.faults, text)
        else:
            call |= first
    if faults:
        text, how_much = cut(text, faults)
        said.append(f"{role}: the {what} repeats {say(faults)}: {how_much}")
    return text


async def _ask(
    chat: ChatRole,
    prompt: Prompt,
    given: Mapping[str, Any],
    call: dict[str, Any],
    *,
    captured: bool,
) -> ModelAnswer:
    """Ask once, and write into the record what came of it.

    Raises:
        ModelCallError: The model failed.
    """
    begin = time.perf_counter()
    earlier = call.get("seconds", 0.0)
    try:
        message = await chat.model.ainvoke(prompt.messages, _shown(chat), **given)
    except (LoopError, TimeoutError):
        raise
    # The boundary to foreign code: a model may raise any error.
    except Exception as error:  # noqa: BLE001
        transient = not isinstance(error, FINAL)
        call["seconds"] = earlier + time.perf_counter() - begin
        failed = {name: value for name, value in call.items() if name != "text"}
        raise ModelCallError(
            call["role"], chat.name, error, transient=transient, call=failed
        ) from error
    answer = read_answer(message)
    metadata = message.response_metadata
    call |= {
        "adapter": metadata.get("adapter", BASE),
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "tokens_in": _sum(call.get("tokens_in"), answer.tokens_in),
        "tokens_out": _sum(call.get("tokens_out"), answer.tokens_out),
        "asked": call.get("asked", 0) + 1,
        # Only a model that was asked to capture is trusted: others use the names differently.
        **{name: metadata.get(name) if captured else None for name in _CAPTURED},
        "seconds": earlier + time.perf_counter() - begin,
    }
    return answer


def _shown(chat: ChatRole) -> RunnableConfig | None:
    return None if chat.streamed else {"tags": [TAG_NOSTREAM]}


def _turns(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": who, "content": content} for who, content in prompt.messages]


def _whole(
    answer: ModelAnswer, wanted: Wanted, role: str, given: Mapping[str, Any], said: list[str]
) -> str:
    """Return the text of an answer; one that reached its limit ends at a whole unit."""
    if not answer.cut or wanted.unit is None:
        return answer.text
    text, unit = _shortened(answer.text, wanted.unit)
    said.append(_say_cut(role, given["max_tokens"], unit))
    return text


def _sum(before: int | None, now: int | None) -> int | None:
    """Return the tokens of all attempts of a call; None where a model does not count."""
    return now if before is None or now is None else before + now


def _shortened(text: str, unit: Unit) -> tuple[str, Unit]:
    """Return a text up to its last whole unit, and what that is: a word if there is no sentence."""
    shorten = _SHORTEN[unit]
    whole = shorten(text)
    # One that ends at a sentence stays as it is when it is shortened again.
    return whole, unit if shorten(whole) == whole else "word"


def _say_cut(role: str, tokens: int, unit: Unit) -> str:
    what = _WRITTEN.get(role, "summary")
    return (
        f"{role}: the {what} reached its limit of {tokens} tokens and ends at its last whole {unit}"
    )


def _sampling(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the sampling settings; None if the model chooses them, so they are unknown."""
    if "temperature" not in options:
        return None
    return {name: options[name] for name in _SAMPLING if name in options}


def _serving_options(turn: Turn, role: str) -> dict[str, Any]:
    """Return the options that only models of this project accept: the role and its adapter."""
    if not turn.parts.role(role).takes_adapters:
        return {}
    name = turn.adapters.get(role, BASE)
    if name == BASE:
        return {"role": role}
    return {"role": role, "adapter": name, "adapter_fallback": turn.context.adapter_fallback}
