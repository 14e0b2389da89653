"""What of a run LangSmith is sent, where tracing is switched on: nothing, counts, or everything.

LangChain and LangGraph send each input and output of a graph, and so other people's texts, to
LangSmith as soon as a variable of the environment says so. Here, whatever begins inside of
`untraced` is not traced, and `Counts` sends one run of ids and counts in its place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManager,
        BaseCallbackHandler,
        CallbackManager,
        Callbacks,
    )
    from langchain_core.runnables import RunnableConfig

    Manager = TypeVar("Manager", CallbackManager, AsyncCallbackManager)

_log = logging.getLogger(__name__)

Tracing = Literal["off", "redacted", "on"]

SENT: Mapping[Tracing, str] = {
    "off": "nothing of a run is sent there",
    "redacted": "of each run, ids and counts are sent there, and no text",
    "on": "all texts of each run are sent there, other people's too",
}
"""What LangSmith is sent, by `PATLM_TRACING`."""

SWITCHES = (
    "LANGSMITH_TRACING_V2",
    "LANGCHAIN_TRACING_V2",
    "LANGSMITH_TRACING",
    "LANGCHAIN_TRACING",
)
"""The variables that switch tracing on."""

COUNTED = ("iterations", "calls", "tokens_in", "tokens_out")


def switched_on(environment: Mapping[str, str]) -> str | None:
    """Return the variable that switches tracing on, or None."""
    return next((name for name in SWITCHES if environment.get(name, "").lower() == "true"), None)


def is_wanted() -> bool:
    """Return whether the caller or the environment has switched tracing on."""
    from langchain_core.tracers.context import tracing_v2_callback_var
    from langsmith.utils import tracing_is_enabled

    if tracing_v2_callback_var.get() is not None or tracing_is_enabled():
        return True
    # It switches tracing off for the process, against the wish of the environment.
    return silence.cache_info().currsize > 0


def say_once(tracing: Tracing) -> None:
    """Log, once a process, what is sent where tracing is switched on."""
    if is_wanted():
        _say(tracing)


@cache
def _say(tracing: Tracing) -> None:
    _log.warning("LangSmith's tracing is switched on: %s (PATLM_TRACING)", SENT[tracing])


@cache
def silence(tracing: Tracing) -> None:
    """Switch tracing off for this process unless it is `on`, where the environment has it on.

    For a program's own process. What is sent is said; `counts` are sent nevertheless.
    """
    import langsmith

    say_once(tracing)
    if tracing != "on":
        langsmith.configure(enabled=False)


@contextmanager
def untraced() -> Iterator[None]:
    """Let nothing that begins in the block be traced, however tracing was switched on."""
    from langchain_core.runnables.config import var_child_runnable_config
    from langchain_core.tracers.context import tracing_v2_callback_var
    from langsmith.run_helpers import tracing_context

    around = var_child_runnable_config.get()
    tracer = tracing_v2_callback_var.set(None)
    child = var_child_runnable_config.set({**around, "callbacks": None} if around else None)
    try:
        with tracing_context(enabled=False, parent=False):
            yield
    finally:
        var_child_runnable_config.reset(child)
        tracing_v2_callback_var.reset(tracer)


def is_traced(config: RunnableConfig | None) -> bool:
    """Return whether a run with this config would be traced, were nothing done about it."""
    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.tracers.langchain import LangChainTracer

    callbacks = _callbacks(config)
    handlers = callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks
    return is_wanted() or any(isinstance(each, LangChainTracer) for each in handlers or ())


def _callbacks(config: RunnableConfig | None) -> Callbacks:
    """Return the callbacks of a run, those of the run around it included."""
    from langchain_core.runnables.config import merge_configs, var_child_runnable_config

    return merge_configs(var_child_runnable_config.get(), config).get("callbacks")


def without_tracers(
    config: RunnableConfig | None, manager: type[Manager], *more: BaseCallbackHandler
) -> RunnableConfig:
    """Return the config of a run without tracers, those of the run around it included.

    Args:
        config: As the caller gave it.
        manager: Class of the callbacks: of a synchronous run, or of an asynchronous one.
        more: Handlers of this run alone.
    """
    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.tracers.langchain import LangChainTracer

    def other(handlers: list[BaseCallbackHandler]) -> list[BaseCallbackHandler]:
        return [each for each in handlers if not isinstance(each, LangChainTracer)]

    callbacks = _callbacks(config)
    if isinstance(callbacks, BaseCallbackManager):
        callbacks = callbacks.copy()
        callbacks.handlers = other(callbacks.handlers)
        callbacks.inheritable_handlers = other(callbacks.inheritable_handlers)
    elif callbacks is not None:
        callbacks = other(callbacks)
    with untraced():
        return {**(config or {}), "callbacks": manager.configure(callbacks, list(more))}


def counts(about: Mapping[str, str | None]) -> BaseCallbackHandler:
    """Return a handler that sends LangSmith one run of counts when the run ends that it is of.

    It is sent where the caller's own runs are sent, as a part of the one under way.

    Args:
        about: Ids of the run, which hold no text.
    """
    from langchain_core.callbacks import BaseCallbackHandler

    outside, began = copy_context(), datetime.now(UTC)

    class Counts(BaseCallbackHandler):
        run_inline = True

        def on_chain_end(self, outputs: Any, **_: Any) -> None:
            outside.run(_send, about, began, _counted(outputs))

        def on_chain_error(self, error: BaseException, **_: Any) -> None:
            outside.run(_send, about, began, {}, type(error).__name__)

    return Counts()


def _counted(result: Any) -> dict[str, Any]:
    """Return the counts of a run's result; what it lacks is left out."""
    if not isinstance(result, Mapping):
        return {}
    numbers = {name: result[name] for name in COUNTED if isinstance(result.get(name), int)}
    ids = {name: result[name] for name in ("run_id", "stop_reason") if result.get(name)}
    seconds = result.get("timings", {}).get("total")
    evidence = {side: len(pieces) for side, pieces in result.get("evidence", {}).items()}
    return {**ids, **numbers, "seconds": seconds, "evidence": evidence}


def _send(
    about: Mapping[str, str | None],
    began: datetime,
    outputs: dict[str, Any],
    error: str | None = None,
) -> None:
    from langsmith.run_helpers import get_tracing_context
    from langsmith.run_trees import RunTree

    context = get_tracing_context()
    parent = context["parent"]
    project = context["project_name"] if parent is None else parent.session_name
    run = RunTree(
        name="patlm",
        run_type="chain",
        inputs=dict(about),
        outputs=outputs,
        error=error,
        start_time=began,
        end_time=datetime.now(UTC),
        parent_run=parent,
        client=context["client"] if parent is None else parent.client,
        **({} if project is None else {"project_name": project}),
    )
    run.post()
