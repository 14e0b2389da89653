"""An OpenAI-compatible server on loopback that does what a test tells it to, faults included.

Each request takes the next behaviour of the plan, and is answered well once the plan is empty:

    with faulty_server() as server:
        server.plan += [reset, refuses(429, "slow down", retry_after="0.1")]
"""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from anyio.from_thread import start_blocking_portal
from langchain_core.messages import AIMessageChunk
from patlm.models.open import open_chat_model
from patlm.models.remote.chat_model import RemoteChatModel
from patlm.models.remote.retries import RemoteLimits

PIECES = ("Warm ", "from the ", "first night on.")
TEXT = "".join(PIECES)
LOGPROBS = (-0.5, -1.25, -0.125)

Body = dict[str, Any]
Behaviour = Callable[[asyncio.StreamWriter, Body], Awaitable[None]]


@dataclass
class FaultyServer:
    """A running server.

    Attributes:
        url: What a client takes as its base URL.
        plan: What the next requests meet, first come first served.
        asked: The bodies of all requests, in order.
    """

    url: str = ""
    plan: deque[Behaviour] = field(default_factory=deque)
    asked: list[Body] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = json.loads(await reader.readexactly(_length(head)))
                self.asked.append(body)
                behave = self.plan.popleft() if self.plan else answer
                await behave(writer, body)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        except asyncio.CancelledError:
            pass  # the server stops; asyncio 3.11 would print a traceback
        finally:
            writer.close()


@contextmanager
def faulty_server() -> Iterator[FaultyServer]:
    """Run a server in a thread of its own."""
    server = FaultyServer()

    async def listen() -> asyncio.Server:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        return listening

    with start_blocking_portal() as portal:  # what still hangs is cancelled when it ends
        listening = portal.call(listen)
        try:
            yield server
        finally:
            portal.call(listening.close)


async def answer(writer: asyncio.StreamWriter, body: Body) -> None:
    """Give the text, streamed where that was asked for."""
    if body.get("stream"):
        await _write(writer, _head(200, "text/event-stream", "Transfer-Encoding: chunked"))
        for piece, logprob in zip(PIECES, LOGPROBS, strict=True):
            await _write(writer, _chunk(_event(body, piece, logprob)))
        await _write(writer, _chunk(_event(body, "", None, "stop") + "data: [DONE]\n\n") + _LAST)
        return
    content = [_token(piece, logprob) for piece, logprob in zip(PIECES, LOGPROBS, strict=True)]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": TEXT},
        "finish_reason": "stop",
        "logprobs": {"content": content} if body.get("logprobs") else None,
    }
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    await _json(writer, 200, _frame(body, "chat.completion", [choice]) | {"usage": usage})


async def answer_without_logprobs(writer: asyncio.StreamWriter, body: Body) -> None:
    """Give the text as a server does that knows no log-probabilities."""
    await answer(writer, {**body, "logprobs": False})


def refuses(status: int, message: str, *, retry_after: str | None = None) -> Behaviour:
    """Return a behaviour: an error as OpenAI's API words it."""

    async def refuse(writer: asyncio.StreamWriter, body: Body) -> None:
        headers = [] if retry_after is None else [f"Retry-After: {retry_after}"]
        await _json(writer, status, {"error": {"message": message}}, *headers)

    return refuse


def knows_only(model: str) -> Behaviour:
    """Return a behaviour: refuse other models with the words of vLLM."""

    async def check(writer: asyncio.StreamWriter, body: Body) -> None:
        missing = f"The model `{body['model']}` does not exist."
        await (answer if body["model"] == model else refuses(404, missing))(writer, body)

    return check


async def hang(writer: asyncio.StreamWriter, body: Body) -> None:
    """Say nothing at all, until the server stops."""
    await asyncio.sleep(3600)


async def reset(writer: asyncio.StreamWriter, body: Body) -> None:
    """Break the connection off, as a server that was killed."""
    no_goodbye = struct.pack("ii", 1, 0)  # linger for 0 seconds: RST instead of FIN
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_goodbye)
    writer.transport.abort()


async def cut_before_text(writer: asyncio.StreamWriter, body: Body) -> None:
    """Break off once the head of a stream was sent, or the beginning of a whole answer."""
    if body.get("stream"):
        await _write(writer, _head(200, "text/event-stream", "Transfer-Encoding: chunked"))
    else:
        await _write(writer, _head(200, "application/json", "Content-Length: 500") + b'{"id": ')
    await reset(writer, body)


async def half_a_stream(writer: asyncio.StreamWriter, body: Body) -> None:
    """Break off in the middle of a stream."""
    await _write(writer, _head(200, "text/event-stream", "Transfer-Encoding: chunked"))
    await _write(writer, _chunk(_event(body, PIECES[0], LOGPROBS[0])))
    await asyncio.sleep(0.05)  # so that the client has read it
    await reset(writer, body)


async def end_too_early(writer: asyncio.StreamWriter, body: Body) -> None:
    """End a stream in good order, but without a finish reason: half a text that looks whole."""
    await _write(writer, _head(200, "text/event-stream", "Connection: close"))
    await _write(writer, _event(body, PIECES[0], LOGPROBS[0]).encode())
    writer.close()


async def dry_up(writer: asyncio.StreamWriter, body: Body) -> None:
    """Begin a stream and then say nothing more."""
    await _write(writer, _head(200, "text/event-stream", "Transfer-Encoding: chunked"))
    await _write(writer, _chunk(_event(body, PIECES[0], LOGPROBS[0])))
    await hang(writer, body)


async def web_page(writer: asyncio.StreamWriter, body: Body) -> None:
    """Answer as a proxy's login page does."""
    page = b"<html>Please log in</html>"
    await _write(writer, _head(200, "text/html", f"Content-Length: {len(page)}") + page)


async def no_choices(writer: asyncio.StreamWriter, body: Body) -> None:
    """Give well-formed JSON that is no answer."""
    await _json(writer, 200, _frame(body, "chat.completion", []))


async def broken_json(writer: asyncio.StreamWriter, body: Body) -> None:
    """Give JSON that is none."""
    content = b'data: {"id": "x", \n\n' if body.get("stream") else b'{"id": "x", '
    kind = "text/event-stream" if body.get("stream") else "application/json"
    await _write(writer, _head(200, kind, f"Content-Length: {len(content)}") + content)


_LAST = b"0\r\n\r\n"


def _length(head: bytes) -> int:
    lines = [line.partition(b":") for line in head.lower().splitlines()]
    return next(int(value) for name, _, value in lines if name == b"content-length")


def _head(status: int, kind: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", f"Content-Type: {kind}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def _chunk(text: str) -> bytes:
    content = text.encode()
    return b"%x\r\n%b\r\n" % (len(content), content)


def _frame(body: Body, kind: str, choices: list[Body]) -> Body:
    return {"id": "x", "object": kind, "created": 1, "model": body["model"], "choices": choices}


def _event(body: Body, text: str, logprob: float | None, finish: str | None = None) -> str:
    choice: Body = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    if logprob is not None and body.get("logprobs"):
        choice["logprobs"] = {"content": [_token(text, logprob)]}
    return f"data: {json.dumps(_frame(body, 'chat.completion.chunk', [choice]))}\n\n"


def _token(text: str, logprob: float) -> Body:
    return {"token": text, "logprob": logprob, "bytes": None, "top_logprobs": []}


async def _json(writer: asyncio.StreamWriter, status: int, content: Body, *headers: str) -> None:
    whole = json.dumps(content).encode()
    await _write(
        writer, _head(status, "application/json", f"Content-Length: {len(whole)}", *headers) + whole
    )


async def _write(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(content)
    await writer.drain()


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
