"""A chat model on a server: any that `init_chat_model` opens, with the options of a local one.

    model = open_chat_model("openai:base", base_url="http://127.0.0.1:8000/v1")
    answer = await model.ainvoke("Hello", max_tokens=40, adapter="style@3")

Retries, time limits and the circuit breaker are in `retries`. All calls run in one event loop in a
thread of the model's own: connections of an async HTTP client belong to the loop that opened them,
so a program that calls `asyncio.run` twice, or runs a loop in each of several threads, would get
"Event loop is closed" from a shared client.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from pydantic import PrivateAttr

from ..answers import VisibleText, piece_of_answer, visible_content
from ..errors import AdapterRefused, ModelClosed
from ..local.sampling import Sampling
from .faults import Reader, check_ended
from .retries import Attempts, Circuit, OptionRefused, RemoteLimits
from .server import Server, memory_of, window_of


@dataclass(frozen=True)
class RemoteOptions:
    """The options of one call.

    Attributes:
        sampling: All options, checked as a local model checks them.
        given: Names of those that the call set. The others are not sent, so that the server's
            defaults apply: some models take no temperature but their own.
        prompt_characters: Length of the prompt, for servers that must be told its size.
    """

    sampling: Sampling
    given: frozenset[str]
    prompt_characters: int = 0

    @classmethod
    def read(
        cls, options: Mapping[str, Any], stop: Sequence[str] | None, server: Server
    ) -> RemoteOptions:
        """Check the keyword arguments of a call.

        Raises:
            CallRefused: An unknown option, or a bad value.
            AdapterRefused: The server takes no adapters.
        """
        sampling = Sampling().for_call(options, stop)
        given = {name for name, value in options.items() if value is not None}
        if sampling.stop:
            given.add("stop")
        if sampling.adapter is not None and not server.speaks_openai:
            if not sampling.adapter_fallback:
                raise AdapterRefused(
                    f"adapter {sampling.adapter} can't be named to {server}: only servers of "
                    "OpenAI's API ('openai:NAME' with a base URL) take an adapter as model name; "
                    "leave it out, or pass adapter_fallback=True"
                )
            sampling = replace(sampling, adapter=None)
        return cls(sampling, frozenset(given))

    def on_base(self) -> RemoteOptions:
        """Return the same options with the base model."""
        return replace(self, sampling=replace(self.sampling, adapter=None))

    def wanted(self, server: Server) -> dict[str, Any]:
        """Return the options by our names; no provider has bans of repetition."""
        chosen = self.sampling
        known: dict[str, Any] = {
            "max_tokens": chosen.max_tokens,
            "temperature": chosen.temperature,
            "top_p": chosen.top_p,
            "seed": chosen.seed,
            "stop": list(chosen.stop),
        }
        wanted = {name: value for name, value in known.items() if name in self.given}
        if chosen.capture and server.speaks_openai:
            wanted["logprobs"] = True
        if "num_ctx" in server.dialect.options:
            wanted["num_ctx"] = self._window(server)
        return wanted

    def left_out(self, server: Server) -> dict[str, str]:
        """Return the options that are wanted and not sent, by name, and why."""
        lacking = f"{server.provider} has no such option"
        refused = memory_of(server).refused
        return {
            name: refused.get(name, lacking)
            for name in self.wanted(server)
            if name in refused or name not in server.dialect.options
        }

    def for_server(self, server: Server) -> dict[str, Any]:
        """Return the arguments of the provider's class, without what the server refuses."""
        out, words = self.left_out(server), server.dialect.options
        kept = {name: value for name, value in self.wanted(server).items() if name not in out}
        sent: dict[str, Any] = {words[name]: value for name, value in kept.items()}
        if server.dialect.within is not None:
            sent = {server.dialect.within: sent}
        if memory_of(server).old_max_tokens and "max_tokens" in kept:
            # langchain-openai turns its own `max_tokens` into `max_completion_tokens`.
            sent["extra_body"] = {"max_tokens": sent.pop("max_tokens")}
        if self.sampling.adapter is not None:
            sent["model"] = self.sampling.adapter
        return sent

    def _window(self, server: Server) -> int:
        """Return the window to ask for: it must hold prompt and answer, or the prompt is cut.

        It only grows, in powers of two: a server loads the model anew for another one.
        """
        memory = memory_of(server)
        needed = self.prompt_characters // CHARACTERS_A_TOKEN + self.sampling.max_tokens
        while memory.num_ctx < needed:
            memory.num_ctx *= 2
        return memory.num_ctx


CHARACTERS_A_TOKEN = 3
"""A low estimate: a window that is too small would cut the prompt without a word."""

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for callers in any thread or loop.

    Args:
        name: Of the thread; a daemon, so that a forgotten `close` keeps no program alive.
    """

    def __init__(self, name: str) -> None:
        self._closed = False
        self._lock = threading.Lock()  # held for microseconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine; cancelling the future cancels it.

        Raises:
            ModelClosed: After `close`.
        """
        with self._lock:
            if not self._closed:
                return asyncio.run_coroutine_threadsafe(self._until_closed(work), self._loop)
        work.close()
        raise ModelClosed("this model was closed; open it again")

    def close(self) -> None:
        """End the loop; running work ends with `ModelClosed`. Blocks."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            # One turn later: work submitted just before has then begun and can be cancelled.
            self._loop.call_soon_threadsafe(self._loop.call_soon, self._loop.stop)
        self._thread.join()

    async def _until_closed(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except asyncio.CancelledError:
            if self._closed:
                raise ModelClosed("the model was closed before this call was answered") from None
            raise

    def _serve(self) -> None:
        # The runner cancels what is left when it closes, and waits for it.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()


_UNSEEN = RunnableConfig(callbacks=[])
"""Callbacks are called for this model, not a second time for the model inside."""


class RemoteChatModel(BaseChatModel):
    """A chat model whose answers come from a server.

    Calls take the options of `LocalChatModel`, as keyword arguments or by `bind`; the server
    chooses those that are left out. `adapter` is sent as the model's name and `capture` asks for
    log-probabilities, both with OpenAI's API only; `no_repeat_ngram_size` and `repetition_penalty`
    are not sent. `response_metadata["logprobs"]` is missing where the server gives none. An option
    that the server refuses is left out of the call, and of all later ones of this process;
    `response_metadata["left_out"]` says so. Answers hold no reasoning.
    """

    _inner: BaseChatModel = PrivateAttr()
    _server: Server = PrivateAttr()
    _limits: RemoteLimits = PrivateAttr()
    _circuit: Circuit = PrivateAttr()
    _thread: LoopThread = PrivateAttr()

    def __init__(
        self,
        *,
        inner: BaseChatModel,
        server: Server,
        limits: RemoteLimits | None = None,
        **kwargs: Any,
    ) -> None:
        """Take a live model of a provider, opened with the options of its server.

        Args:
            inner: The model of `init_chat_model`; its own retries must be off.
            server: Its server.
            limits: Time limits and retries; defaults where None.
            **kwargs: Fields of `BaseChatModel`.
        """
        super().__init__(**kwargs)
        self._inner = inner
        self._server = server
        self._limits = limits or RemoteLimits()
        self._circuit = Circuit(server, failures=self._limits.failures, rest_s=self._limits.rest_s)
        self._thread = LoopThread("patlm-remote")

    @property
    def model_name(self) -> str:
        """Name of the base model in answers."""
        return self._server.model

    @property
    def server(self) -> Server:
        """The server that answers calls."""
        return self._server

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together; None if nobody says. May ask the server. Blocks."""
        return window_of(self._server, self._profile)

    @property
    def reasons(self) -> bool:
        """Whether it reasons before it answers, as far as its profile and its name tell."""
        return self._server.reasons(self._profile)

    @property
    def takes_temperature(self) -> bool:
        """Whether it takes a temperature, as far as its profile tells."""
        return self._profile.get("temperature") is not False

    @property
    def _profile(self) -> Mapping[str, Any]:
        """LangChain's profile of the model; empty where it has none."""
        profile = getattr(self._inner, "profile", None)
        return profile if isinstance(profile, Mapping) else {}

    @property
    def _llm_type(self) -> str:
        return "patlm-remote"

    def close(self) -> None:
        """End running calls with `ModelClosed`, and take no more. Blocks."""
        self._thread.close()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._read(messages, stop, kwargs)
        future = self._thread.submit(self._ask(messages, call))
        try:
            return future.result()
        finally:
            future.cancel()  # no-op after an answer; ends the call after a KeyboardInterrupt

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._read(messages, stop, kwargs)
        return await asyncio.wrap_future(self._thread.submit(self._ask(messages, call)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._read(messages, stop, kwargs)
        pieces: SimpleQueue[str | None] = SimpleQueue()
        future = self._thread.submit(self._ask_for_stream(messages, call, pieces.put))
        future.add_done_callback(lambda _: pieces.put(None))
        try:
            while (piece := pieces.get()) is not None:
                chunk = piece_of_answer(piece)
                if run_manager is not None:
                    run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
            yield future.result()
        finally:
            future.cancel()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = self._read(messages, stop, kwargs)
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(piece: str | None) -> None:
            with suppress(RuntimeError):  # the caller's loop was closed
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        future = self._thread.submit(self._ask_for_stream(messages, call, put))
        future.add_done_callback(lambda _: put(None))
        try:
            while (piece := await pieces.get()) is not None:
                chunk = piece_of_answer(piece)
                if run_manager is not None:
                    await run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
            yield future.result()
        finally:
            future.cancel()

    def _read(
        self, messages: Sequence[BaseMessage], stop: Sequence[str] | None, options: dict[str, Any]
    ) -> RemoteOptions:
        call = RemoteOptions.read(options, stop, self._server)
        return replace(call, prompt_characters=sum(len(str(each.text)) for each in messages))

    async def _ask(self, messages: Sequence[BaseMessage], call: RemoteOptions) -> ChatResult:
        async def once(call: RemoteOptions) -> ChatResult:
            attempts = self._attempts(call)
            async for attempt in attempts.retrying():
                with attempt:
                    async with attempts.watch():
                        options = call.for_server(self._server)
                        answer = await self._inner.ainvoke(list(messages), _UNSEEN, **options)
            return self._reader(call).whole_answer(answer)

        return await self._or_without(once, call)

    async def _ask_for_stream(
        self, messages: Sequence[BaseMessage], call: RemoteOptions, show: Callable[[str], None]
    ) -> ChatGenerationChunk:
        """Pass on the pieces of an answer as they come, and return its last chunk."""

        async def once(call: RemoteOptions) -> ChatGenerationChunk:
            attempts = self._attempts(call)
            unmarked = memory_of(self._server).unmarked
            hold = unmarked is None and self.reasons
            async for attempt in attempts.retrying():
                with attempt:
                    async with attempts.watch() as timer:
                        visible = VisibleText(inside=unmarked is True, hold=hold)
                        options = call.for_server(self._server)
                        stream = self._inner.astream(list(messages), _UNSEEN, **options)
                        chunks = []
                        async for chunk in stream:
                            attempts.more_time(timer)
                            chunks.append(chunk)
                            if text := visible.feed(visible_content(chunk.content)):
                                attempts.shown += 1
                                show(text)
                        check_ended(chunks, self._server)
            end, whole = self._reader(call).end_of_answer(chunks)
            # Where all was held back for reasoning that never ended, there was none.
            if text := visible.rest() if attempts.shown else whole.lstrip():
                show(text)
            return end

        return await self._or_without(once, call)

    async def _or_without(
        self, once: Callable[[RemoteOptions], Awaitable[T]], call: RemoteOptions
    ) -> T:
        """Call, and once more for each option that the server turns out to refuse."""
        memory = memory_of(self._server)
        while True:
            new_word = self._server.speaks_openai and not memory.old_max_tokens
            try:
                return await _or_base(once, call)
            except OptionRefused as refusal:
                if refusal.option == "max_tokens" and new_word:
                    memory.old_max_tokens = True
                else:
                    memory.refused[refusal.option] = refusal.says

    def _attempts(self, call: RemoteOptions) -> Attempts:
        sent = set(call.wanted(self._server)) - set(call.left_out(self._server))
        adapter = call.sampling.adapter
        return Attempts(self._server, adapter, self._limits, self._circuit, frozenset(sent))

    def _reader(self, call: RemoteOptions) -> Reader:
        return Reader(self._server, call.sampling, call.left_out(self._server))


async def _or_base(once: Callable[[RemoteOptions], Awaitable[T]], call: RemoteOptions) -> T:
    """Call with the adapter, or without where the server lacks it and the call allows that."""
    try:
        return await once(call)
    except AdapterRefused:
        if not call.sampling.adapter_fallback:
            raise
    # Not in the handler: an error here must not be chained to the refusal.
    return await once(call.on_base())
