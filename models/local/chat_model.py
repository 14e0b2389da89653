"""A LangChain chat model over a local transformers model, with batching across callers.

`langchain-huggingface` loads the model and applies its chat template. This subclass of its
`ChatHuggingFace` adds async calls, token streaming, settings per call, and batching across tasks
and threads, which it lacks for a local pipeline.

    model = open_local_chat("path/to/model")
    answer = await model.ainvoke("Hello", max_tokens=40, temperature=0.7, seed=1)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
from pydantic import PrivateAttr

from ..answers import (
    REASONING,
    VisibleText,
    ends_inside_reasoning,
    piece_of_answer,
    without_reasoning,
)
from ..errors import AdapterRefused, CallRefused
from ..sanitise import control_tokens, neutralise
from ..telemetry import Watch
from .adapters import AdapterSlots, FindAdapter
from .batcher import Batcher, BatchLimits
from .rows import Completion, Row
from .sampling import BASE, Sampling


class LocalChatModel(ChatHuggingFace):
    """A chat model that runs concurrent calls in one batch; calls join and leave at any token.

    Every call takes `max_tokens`, `min_tokens`, `temperature`, `top_p`, `seed`, `stop`,
    `no_repeat_ngram_size` and `adapter` (see `Sampling`), as keyword arguments or by `bind`; calls
    with different settings share a batch. In fp32 a greedy answer does not depend on the rest of
    the batch.

    Control tokens of the chat format are neutralised in every message before templating: text
    that people wrote can't open or close a turn.
    """

    _sampling: Sampling = PrivateAttr()
    _batcher: Batcher = PrivateAttr()
    _slots: AdapterSlots = PrivateAttr()
    _control: tuple[str, ...] = PrivateAttr()
    _end_ids: frozenset[int] = PrivateAttr()

    def __init__(
        self,
        *,
        llm: HuggingFacePipeline,
        sampling: Sampling | None = None,
        limits: BatchLimits | None = None,
        find_adapter: FindAdapter | None = None,
        watches: Sequence[Watch] = (),
        **kwargs: Any,
    ) -> None:
        """Wrap a live pipeline and take ownership of its model.

        Args:
            llm: A text-generation pipeline with model and tokenizer. The model's own generation
                defaults are dropped.
            sampling: Default settings of calls; None for greedy and 256 tokens.
            limits: Limits of a batch; None for the defaults.
            find_adapter: Finds LoRA adapters by name; None if there are none.
            watches: Called with a report of each batch.
            **kwargs: Fields of `ChatHuggingFace` and `BaseChatModel`.
        """
        from transformers import GenerationConfig

        from .engine import RunningBatch

        super().__init__(llm=llm, tokenizer=llm.pipeline.tokenizer, **kwargs)
        model = llm.pipeline.model
        ends = _as_ids(model.generation_config.eos_token_id) | _as_ids(self.tokenizer.eos_token_id)
        pad_id = min(_as_ids(self.tokenizer.pad_token_id) or ends, default=0)
        model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            eos_token_id=sorted(ends) or None, pad_token_id=pad_id
        )
        model.eval()
        self._sampling = sampling or Sampling()
        self._slots = AdapterSlots(model, find_adapter)
        self._batcher = Batcher(RunningBatch(self._slots, pad_id), limits, watches)
        self._control = control_tokens(self.tokenizer)
        self._end_ids = ends

    @property
    def model_name(self) -> str:
        """Name of the model in answers."""
        return self.model_id or ""

    @property
    def window(self) -> int:
        """Maximum tokens of prompt and answer together."""
        config = self.llm.pipeline.model.config
        try:
            return int(config.max_position_embeddings)
        except AttributeError:  # models without learned or rotary positions name no limit
            return int(self.tokenizer.model_max_length)

    @property
    def parameters(self) -> int:
        """Number of the base model's weights."""
        return self._slots.parameters

    @property
    def device(self) -> str:
        """Kind of the device that computes: "cpu", "cuda"."""
        return str(self.llm.pipeline.model.device.type)

    @property
    def reasons(self) -> bool:
        """Whether it reasons before it answers, as far as its chat template tells."""
        return "</think>" in str(self.tokenizer.chat_template or "")

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, without the chat template."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the base model's weights, as in the manifests of adapters."""
        return self._slots.fingerprint

    @property
    def adapters_loaded(self) -> dict[str, int]:
        """Size of each loaded adapter in bytes, least recently used first."""
        return self._slots.loaded

    def warm_up(self) -> None:
        """Generate one token: the first call of a process is slower than later ones. Blocks."""
        self.invoke("Hello", max_tokens=1)

    def close(self) -> None:
        """Stop the generating thread; waiting calls end with `ModelClosed`. Blocks."""
        self._batcher.close()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        stream: bool | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        row = self._submit(messages, stop, kwargs)
        try:
            return _whole_answer(row.future.result(), row, self.model_name)
        finally:
            row.cancel()  # no-op after an answer; frees the row after a KeyboardInterrupt

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        stream: bool | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        gone = threading.Event()
        try:
            # In a thread: the queue's lock is a blocking call, which `langgraph dev` rejects.
            row = await asyncio.to_thread(self._submit, messages, stop, kwargs, gone=gone)
            return _whole_answer(await asyncio.wrap_future(row.future), row, self.model_name)
        finally:
            gone.set()

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        pieces: SimpleQueue[str | None] = SimpleQueue()
        row = self._submit(messages, stop, kwargs, on_text=pieces.put)
        row.future.add_done_callback(lambda _: pieces.put(None))
        shown = VisibleText(inside=row.inside)
        try:
            more = True
            while more:
                more = (piece := pieces.get()) is not None
                if not (text := shown.rest() if piece is None else shown.feed(piece)):
                    continue
                chunk = piece_of_answer(text)
                if run_manager is not None:
                    run_manager.on_llm_new_token(text, chunk=chunk)
                yield chunk
            yield _end_of_answer(row.future.result(), shown, self.model_name)
        finally:
            row.cancel()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        gone = threading.Event()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        put = partial(_put_from_thread, asyncio.get_running_loop(), pieces, gone)
        try:
            row = await asyncio.to_thread(
                self._submit, messages, stop, kwargs, on_text=put, gone=gone
            )
            row.future.add_done_callback(lambda _: put(None))
            shown = VisibleText(inside=row.inside)
            more = True
            while more:
                more = (piece := await pieces.get()) is not None
                if not (text := shown.rest() if piece is None else shown.feed(piece)):
                    continue
                chunk = piece_of_answer(text)
                if run_manager is not None:
                    await run_manager.on_llm_new_token(text, chunk=chunk)
                yield chunk
            yield _end_of_answer(row.future.result(), shown, self.model_name)
        finally:
            gone.set()

    def _submit(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        options: dict[str, Any],
        *,
        on_text: Callable[[str], None] | None = None,
        gone: threading.Event | None = None,
    ) -> Row:
        """Prepare a call in the caller's thread, which receives its errors, and queue it."""
        sampling = self._with_adapter(self._sampling.for_call(options, stop))
        prompt = self._prompt(messages)
        prompt_ids: list[int] = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        room = self.window - len(prompt_ids)
        if room < 1:
            raise CallRefused(
                f"the prompt has {len(prompt_ids)} tokens, and {self.model_name} holds "
                f"{self.window} with the answer: shorten the prompt",
                code="prompt_too_long",
            )
        row = Row(
            prompt_ids,
            sampling.with_room(room),
            decode=partial(self.tokenizer.decode, skip_special_tokens=True),
            end_ids=self._end_ids,
            on_text=on_text,
            gone=gone,
            inside=ends_inside_reasoning(prompt),
        )
        self._batcher.submit(row)
        return row

    def _with_adapter(self, sampling: Sampling) -> Sampling:
        """Check the adapter; without a usable one drop it if the settings allow the fallback."""
        if sampling.adapter is None:
            return sampling
        try:
            self._slots.check(sampling.adapter)
        except AdapterRefused:
            if not sampling.adapter_fallback:
                raise
            return replace(sampling, adapter=None)
        return sampling

    def _prompt(self, messages: Sequence[BaseMessage]) -> str:
        """Return the messages in the chat format; an answer that is begun is to be continued."""
        safe = [
            message.model_copy(update={"content": neutralise(str(message.text), self._control)})
            for message in messages
        ]
        try:
            if len(safe) > 1 and isinstance(safe[-1], AIMessage):
                return f"{self._to_chat_prompt(safe[:-1])}{safe[-1].content}"
            return str(self._to_chat_prompt(safe))
        except ValueError as error:
            raise CallRefused(
                f"{self.model_name} can't template these messages: {error}", code="cannot_template"
            ) from error


def _whole_answer(completion: Completion, row: Row, model_name: str) -> ChatResult:
    """Return one message with token counts, finish reason and model name."""
    text, removed = without_reasoning(completion.text, inside=row.inside)
    message = AIMessage(text, usage_metadata=_usage(completion))
    info = _info(completion, model_name, removed=removed)
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)])


def _end_of_answer(
    completion: Completion, shown: VisibleText, model_name: str
) -> ChatGenerationChunk:
    """Return the last, empty chunk of a streamed answer, with the metadata of `_whole_answer`.

    Only the last chunk has metadata: LangChain adds chunks and would concatenate the names.
    """
    message = AIMessageChunk(content="", usage_metadata=_usage(completion), chunk_position="last")
    info = _info(completion, model_name, removed=shown.removed)
    return ChatGenerationChunk(message=message, generation_info=info)


def _info(completion: Completion, model_name: str, *, removed: bool) -> dict[str, Any]:
    info: dict[str, Any] = {
        "finish_reason": completion.finish_reason,
        "model_name": model_name,
        "adapter": completion.adapter or BASE,
    }
    if removed:
        info[REASONING] = True
    if completion.logprobs is not None:
        info |= {
            "prompt_token_ids": list(completion.prompt_ids),
            "token_ids": list(completion.token_ids),
            "logprobs": list(completion.logprobs),
        }
    return info


def _usage(completion: Completion) -> UsageMetadata:
    prompt, new = len(completion.prompt_ids), len(completion.token_ids)
    return UsageMetadata(input_tokens=prompt, output_tokens=new, total_tokens=prompt + new)


def _put_from_thread(
    loop: asyncio.AbstractEventLoop,
    pieces: asyncio.Queue[str | None],
    gone: threading.Event,
    piece: str | None,
) -> None:
    try:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)
    except RuntimeError:  # the event loop was closed: the caller is gone
        gone.set()


def _as_ids(value: int | list[int] | None) -> frozenset[int]:
    if value is None:
        return frozenset()
    return frozenset([value] if isinstance(value, int) else value)
