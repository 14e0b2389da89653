"""OpenAI's, Anthropic's, Ollama's, Mistral's and Google's servers on loopback, strict as real ones.

A test says what the model says (`Said`), in words of no provider; the server puts that into its
provider's shape. Which parameters a server takes is read from its provider's own client, where that
is installed, and else from its documentation; what it refuses, and in which words, is on record in
public trackers:

- OpenAI: `max_tokens` and `temperature` of reasoning models (openai 400 `unsupported_parameter`,
  `unsupported_value`: griptape-ai/ComfyUI-Griptape #312).
- Anthropic: `temperature` beside `top_p` (gptme/gptme #1110), `temperature` of newer models
  (BoltAI/BoltAI #410).
- Mistral: any unknown field (mistralai/platform-docs-public #7).
- Ollama: takes anything, and cuts a prompt that is longer than `num_ctx` (docs.ollama.com/faq).
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]

DEFAULT_NUM_CTX = 4096
"""Ollama's window where a request names none."""

PROMPT_TOKENS = 7
ANSWER_TOKENS = 3


@dataclass(frozen=True)
class Said:
    """What a model says.

    Attributes:
        text: Its answer.
        thinking: Its reasoning, in the place that the provider has for it.
        finish: Why it ends: stop, length or withheld.
    """

    text: str = "A fine view."
    thinking: str = ""
    finish: str = "stop"


@dataclass(eq=False)
class Refused(Exception):  # noqa: N818 - an answer of the server
    """An error of a server: its status and its body."""

    status: int
    body: Body


@dataclass
class ProviderServer:
    """A running server.

    Attributes:
        url: Its address, without a path.
        plan: What the model says next, or the error that the server gives; the last one stays.
        asked: Paths and bodies of all requests, in order.
        refused: How many requests it refused.
        window: The window that it tells where it is asked.
    """

    url: str = ""
    plan: deque[Said | Refused] = field(default_factory=deque)
    asked: list[tuple[str, Body]] = field(default_factory=list)
    refused: int = 0
    window: int | None = None

    @property
    def bodies(self) -> list[Body]:
        """The bodies of the requests for an answer."""
        return [body for path, body in self.asked if "show" not in path]

    def next(self) -> Said:
        """Return what the model says next.

        Raises:
            Refused: The plan has an error.
        """
        if not self.plan:
            return Said()
        said = self.plan.popleft() if len(self.plan) > 1 else self.plan[0]
        if isinstance(said, Refused):
            raise said
        return said


Answer = tuple[str, list[str]]
"""A content type, and the answer in pieces."""

Handle = Callable[[ProviderServer, str, Body, Mapping[str, str]], Answer]


def openai(server: ProviderServer, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
    """Answer as api.openai.com does, and as vLLM, llama.cpp and their kin do."""
    if path == "/v1/models":
        return _json({"object": "list", "data": [_listed(server)]})
    if path == "/v1/responses":
        return _responses(server, body)
    if path != "/v1/chat/completions":
        raise Refused(404, {"error": {"message": f"Invalid URL (POST {path})", "param": None}})
    from openai.types.chat import completion_create_params as params

    known = set(params.CompletionCreateParamsBase.__annotations__) | {"stream"}
    for name in body:
        if name not in known:
            _refuse_openai(f"Unrecognized request argument supplied: {name}", None, None)
    if body["model"].startswith("o3"):  # a reasoning model
        if "max_tokens" in body:
            _refuse_openai(
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
                "max_tokens",
                "unsupported_parameter",
            )
        if body.get("temperature", 1) != 1:
            _refuse_openai(
                "Unsupported value: 'temperature' does not support 0.0 with this model. "
                "Only the default (1) value is supported.",
                "temperature",
                "unsupported_value",
            )
    return _openai_answer(body, server.next(), "reasoning_content")


def old_openai(server: ProviderServer, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
    """Answer as an older OpenAI-compatible server does: unknown fields are errors of validation."""
    if path != "/v1/chat/completions":
        raise Refused(404, {"detail": "Not Found"})
    known = {"model", "messages", "max_tokens", "stop", "stream"}
    wrong = [name for name in body if name not in known]
    if wrong:
        detail = [
            {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs not permitted"}
            for name in wrong
        ]
        raise Refused(422, {"detail": detail})
    return _openai_answer(body, server.next(), "reasoning_content")


def mistralai(server: ProviderServer, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
    """Answer as api.mistral.ai does; reasoning comes in chunks of the content."""
    if path == "/v1/models":
        return _json({"object": "list", "data": [_listed(server)]})
    known = (
        *("model", "messages", "max_tokens", "temperature", "top_p", "random_seed", "stop"),
        *("stream", "safe_prompt", "n", "response_format", "tools", "tool_choice", "prediction"),
        *("presence_penalty", "frequency_penalty", "parallel_tool_calls", "prompt_mode"),
    )
    wrong = [name for name in body if name not in known]
    if wrong:
        detail = [
            {
                "type": "extra_forbidden",
                "loc": ["body", name],
                "msg": "Extra inputs are not permitted",
                "input": body[name],
            }
            for name in wrong
        ]
        raise Refused(422, {"object": "error", "message": {"detail": detail}, "param": None})
    return _openai_answer(body, server.next(), None)


def anthropic(server: ProviderServer, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
    """Answer as api.anthropic.com does."""
    if path != "/v1/messages":
        _refuse_anthropic(404, "not_found_error", f"Not Found: {path}")
    key = headers.get("x-api-key") or headers.get("authorization")
    if not headers.get("anthropic-version") or not key:
        _refuse_anthropic(401, "authentication_error", "x-api-key header is required")
    from anthropic.types import message_create_params as params

    # Newer clients no longer have the sampling parameters; the API takes them for older models.
    known = {*params.MessageCreateParamsBase.__annotations__, "stream", "temperature", "top_p"}
    for name in body:
        if name not in known:
            _refuse_anthropic(
                400, "invalid_request_error", f"{name}: Extra inputs are not permitted"
            )
    for name in ("max_tokens", "messages", "model"):
        if name not in body:
            _refuse_anthropic(400, "invalid_request_error", f"{name}: Field required")
    if any(turn["role"] not in ("user", "assistant") for turn in body["messages"]):
        _refuse_anthropic(400, "invalid_request_error", "messages: Unexpected role")
    if "temperature" in body and "top_p" in body:
        _refuse_anthropic(
            400,
            "invalid_request_error",
            "`temperature` and `top_p` cannot both be specified for this model. "
            "Please use only one.",
        )
    if "temperature" in body and "opus-4-8" in body["model"]:
        _refuse_anthropic(
            400, "invalid_request_error", "`temperature` is deprecated for this model."
        )
    return _anthropic_answer(body, server.next())


def ollama(server: ProviderServer, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
    """Answer as Ollama does: an unknown option is ignored, a long prompt is cut from its front."""
    if path == "/api/show":
        told = {} if server.window is None else {"qwen2.context_length": server.window}
        return _json({"model_info": told, "capabilities": ["completion"], "details": {}})
    if path != "/api/chat":
        raise Refused(404, {"error": "404 page not found"})
    from ollama._types import ChatRequest, Options

    for name in body:
        if name not in ChatRequest.model_fields:  # the client knows them all
            raise Refused(400, {"error": f"unknown field {name}"})
    options = body.get("options") or {}
    for name in options:
        if name not in Options.model_fields:
            raise Refused(400, {"error": f"invalid option provided: {name}"})
    room = 4 * (options.get("num_ctx") or DEFAULT_NUM_CTX)
    prompt = "\n".join(turn["content"] for turn in body["messages"])
    said = server.next()
    if len(prompt) > room:
        said = Said(f"I have read only the end: {prompt[-20:]}")
    return _ollama_answer(body, said)


def google_genai(
    server: ProviderServer, path: str, body: Body, headers: Mapping[str, str]
) -> Answer:
    """Answer as generativelanguage.googleapis.com does."""
    known = {
        *("temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences"),
        *("seed", "responseMimeType", "responseModalities", "thinkingConfig", "responseLogprobs"),
        *("presencePenalty", "frequencyPenalty", "responseSchema", "logprobs", "speechConfig"),
    }
    for name in body.get("generationConfig", {}):
        if name not in known:
            message = (
                f'Invalid JSON payload received. Unknown name "{name}" at '
                "'generation_config': Cannot find field."
            )
            raise Refused(
                400, {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}
            )
    return _google_answer(path, server.next())


@contextmanager
def provider_server(handle: Handle, *plan: Said | Refused) -> Iterator[ProviderServer]:
    """Run a provider's server on loopback.

    Args:
        handle: One of the functions above.
        plan: What the model says, in order; the last one stays.
    """
    server = ProviderServer(plan=deque(plan))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # one request a connection: nothing is left open

        def do_GET(self) -> None:  # noqa: N802
            self._answer({})

        def do_POST(self) -> None:  # noqa: N802
            length = int(self.headers.get("Content-Length") or 0)
            self._answer(json.loads(self.rfile.read(length) or b"{}"))

        def _answer(self, body: Body) -> None:
            path = self.path.partition("?")[0]
            if self.command == "POST":
                server.asked.append((path, body))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                kind, pieces = handle(server, path, body, headers)
                status = 200
            except Refused as refused:
                server.refused += self.command == "POST"
                kind, pieces, status = (
                    "application/json",
                    [json.dumps(refused.body)],
                    refused.status,
                )
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece.encode())
                self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def _listed(server: ProviderServer) -> Body:
    length = {} if server.window is None else {"max_model_len": server.window}  # as vLLM tells it
    return {"id": "base", "object": "model", "owned_by": "vllm", **length}


def _refuse_openai(message: str, param: str | None, code: str | None) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    raise Refused(400, {"error": error})


def _refuse_anthropic(status: int, kind: str, message: str) -> None:
    raise Refused(status, {"type": "error", "error": {"type": kind, "message": message}})


def _json(content: Body) -> Answer:
    return "application/json", [json.dumps(content)]


def _events(events: Sequence[Body], *, named: bool = False, done: bool = False) -> Answer:
    pieces = [
        (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n"
        for event in events
    ]
    return "text/event-stream", [*pieces, *(["data: [DONE]\n\n"] if done else [])]


def _halves(text: str) -> list[str]:
    """Return a text in pieces that split words and tags."""
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def _openai_answer(body: Body, said: Said, thinking: str | None) -> Answer:
    finish = {"stop": "stop", "length": "length", "withheld": "content_filter"}[said.finish]
    frame = {"id": "x", "created": 1, "model": body["model"]}
    used = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": ANSWER_TOKENS, "total_tokens": 10}
    content: Any = said.text
    field_of_its_own = {thinking: said.thinking} if thinking and said.thinking else {}
    if said.thinking and thinking is None:  # Mistral: chunks of content
        inner = [{"type": "text", "text": said.thinking}]
        content = [{"type": "thinking", "thinking": inner}, {"type": "text", "text": said.text}]
    if not body.get("stream"):
        message = {"role": "assistant", "content": content, **field_of_its_own}
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return _json({**frame, "object": "chat.completion", "choices": [choice], "usage": used})
    deltas: list[Body] = [{"role": "assistant", "content": ""}]
    deltas += [field_of_its_own] if field_of_its_own else []
    if isinstance(content, list):
        deltas += [{"content": content[:1]}, *({"content": each} for each in _halves(said.text))]
    else:
        deltas += [{"content": piece} for piece in _halves(said.text)]
    events = [
        {
            **frame,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
        }
        for delta in deltas
    ]
    end = {"index": 0, "delta": {"content": ""}, "finish_reason": finish}
    last = {**frame, "object": "chat.completion.chunk", "choices": [end], "usage": used}
    return _events([*events, last], done=True)


def _responses(server: ProviderServer, body: Body) -> Answer:
    """Answer as OpenAI's other API does, which the newest models ask for."""
    from openai.types.responses import response_create_params as params

    known = set(params.ResponseCreateParamsBase.__annotations__) | {"stream"}
    for name in body:
        if name not in known:
            _refuse_openai(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    said = server.next()
    cut = said.finish == "length"
    output: list[Body] = []
    if said.thinking:
        summary = [{"type": "summary_text", "text": said.thinking}]
        output.append({"type": "reasoning", "id": "rs_x", "summary": summary})
    content = [{"type": "output_text", "text": said.text, "annotations": []}]
    message = {"type": "message", "id": "msg_x", "role": "assistant", "status": "completed"}
    output += [{**message, "content": content}] if said.text else []
    whole = {
        "id": "resp_x",
        "object": "response",
        "created_at": 1,
        "model": body["model"],
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "instructions": None,
        "metadata": {},
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": PROMPT_TOKENS,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": ANSWER_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 10,
        },
    }
    if not body.get("stream"):
        return _json(whole)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    place = {"output_index": len(output) - 1, "content_index": 0, "item_id": "msg_x"}
    events: list[Body] = [{"type": "response.created", "response": begun}]
    events += [
        {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
        for piece in _halves(said.text)
    ]
    events.append({"type": f"response.{'incomplete' if cut else 'completed'}", "response": whole})
    numbered = [{**event, "sequence_number": at} for at, event in enumerate(events)]
    return _events(numbered, named=True)


def _anthropic_answer(body: Body, said: Said) -> Answer:
    stop = {"stop": "end_turn", "length": "max_tokens", "withheld": "refusal"}[said.finish]
    blocks: list[Body] = []
    if said.thinking:
        blocks.append({"type": "thinking", "thinking": said.thinking, "signature": "c2ln"})
    if said.text:
        blocks.append({"type": "text", "text": said.text})
    used = {"input_tokens": PROMPT_TOKENS, "output_tokens": ANSWER_TOKENS}
    message = {
        "id": "msg_x",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": used,
    }
    if not body.get("stream"):
        return _json(message)
    begun = {**message, "content": [], "stop_reason": None}
    events: list[Body] = [{"type": "message_start", "message": begun}]
    for at, block in enumerate(blocks):
        kind = block["type"]
        word = "text" if kind == "text" else "thinking"
        empty = {**block, word: "", **({"signature": ""} if kind == "thinking" else {})}
        events.append({"type": "content_block_start", "index": at, "content_block": empty})
        events += [
            {
                "type": "content_block_delta",
                "index": at,
                "delta": {"type": f"{word}_delta", word: piece},
            }
            for piece in _halves(block[word])
        ]
        events.append({"type": "content_block_stop", "index": at})
    ended = {"stop_reason": stop, "stop_sequence": None}
    events.append(
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": ANSWER_TOKENS}}
    )
    return _events([*events, {"type": "message_stop"}], named=True)


def _ollama_answer(body: Body, said: Said) -> Answer:
    frame = {"model": body["model"], "created_at": "2026-01-01T00:00:00Z"}
    thinking = {"thinking": said.thinking} if said.thinking else {}
    end = {
        **frame,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "length" if said.finish == "length" else "stop",
        "total_duration": 1,
        "prompt_eval_count": PROMPT_TOKENS,
        "eval_count": ANSWER_TOKENS,
    }
    if not body.get("stream", True):
        return _json({**end, "message": {"role": "assistant", "content": said.text, **thinking}})
    pieces: list[Body] = [{"role": "assistant", "content": "", **thinking}] if thinking else []
    pieces += [{"role": "assistant", "content": piece} for piece in _halves(said.text)]
    lines = [*({**frame, "message": piece, "done": False} for piece in pieces), end]
    return "application/x-ndjson", [json.dumps(line) + "\n" for line in lines]


def _google_answer(path: str, said: Said) -> Answer:
    finish = {"stop": "STOP", "length": "MAX_TOKENS", "withheld": "SAFETY"}[said.finish]
    parts: list[Body] = [{"text": said.thinking, "thought": True}] if said.thinking else []
    parts += [{"text": said.text}] if said.text else []
    used = {
        "promptTokenCount": PROMPT_TOKENS,
        "candidatesTokenCount": ANSWER_TOKENS,
        "totalTokenCount": 10,
    }
    content = {"role": "model", "parts": parts}
    candidate = {"index": 0, "content": content, "finishReason": finish}
    whole = {"candidates": [candidate], "usageMetadata": used, "modelVersion": "gemini"}
    if "stream" not in path:
        return _json(whole)
    begun = [
        {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]}
        for part in parts
    ]
    last = {**candidate, "content": {"role": "model", "parts": []}}
    return _events([*begun, {**whole, "candidates": [last]}])
