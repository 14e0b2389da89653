"""The factory that `langgraph dev` calls for every request (see langgraph.json)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from .builder import LoopApp, build_graph
from .runtime import get_runtime

if TYPE_CHECKING:
    from .settings import Settings


def make_graph(config: Any = None) -> LoopApp:
    """Return the compiled loop, without loading anything.

    Compiled bare: the server brings its own checkpointer and store.

    Args:
        config: Passed by the server; not used.
    """
    from .settings import Settings

    return _compiled(Settings())


@cache
def _compiled(settings: Settings) -> LoopApp:
    runtime = get_runtime(settings)
    return build_graph(runtime.parts, run=runtime.run, tracing=settings.tracing).compile(
        name="patlm"
    )
