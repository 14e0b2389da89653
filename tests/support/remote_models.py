"""Remote models of the faulty server, and the four ways to ask them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import add

from langchain_core.messages import AIMessageChunk
from patlm.models.open import open_chat_model
from patlm.models.remote.chat_model import RemoteChatModel
from patlm.models.remote.retries import RemoteLimits

SILENCE_S = 0.4
REST_S = 0.5

Ask = Callable[[RemoteChatModel], Awaitable[str]]


async def by_invoke(model: RemoteChatModel) -> str:
    return str((await asyncio.to_thread(model.invoke, "Write")).text)


async def by_ainvoke(model: RemoteChatModel) -> str:
    return str((await model.ainvoke("Write")).text)


async def by_stream(model: RemoteChatModel) -> str:
    return "".join(await asyncio.to_thread(lambda: [str(c.text) for c in model.stream("Write")]))


async def by_astream(model: RemoteChatModel) -> str:
    return "".join([str(chunk.text) async for chunk in model.astream("Write")])


@contextmanager
def opened(url: str, **limits: float) -> Iterator[RemoteChatModel]:
    """Open a model of a server, with little patience unless told otherwise."""
    quick = {"timeout_s": SILENCE_S, "wait_s": 0.01, "longest_wait_s": 1.0, "rest_s": REST_S}
    patience = RemoteLimits(**{**quick, **limits})  # type: ignore[arg-type]
    model = open_chat_model("openai:base", base_url=url, limits=patience)
    assert isinstance(model, RemoteChatModel)
    try:
        yield model
    finally:
        model.close()


async def streamed(model: RemoteChatModel, **options: object) -> AIMessageChunk:
    """Return the sum of a streamed answer's chunks."""
    return reduce(add, [chunk async for chunk in model.astream("Write", **options)])
