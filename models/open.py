"""Open a chat model by name: installed, local, remote, or a factory of one's own.

`PROVIDERS` holds one entry for each kind of name; errors, help and `patlm doctor` list them from
there. Importing this is cheap: libraries are imported where a model is opened.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

from .catalogue import AUTO, SMALLEST, chat_models
from .device import choose_device, choose_dtype, fit_threads, keeps_int8
from .download import Progress
from .errors import ModelNotFound, ModelUnusable
from .extras import missing_extra, needed_for
from .installed import best_installed, check_installed, model_path
from .quiet import quiet_loading

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from .local.adapters import FindAdapter
    from .local.batcher import BatchLimits
    from .local.chat_model import LocalChatModel
    from .local.sampling import Sampling
    from .remote.retries import RemoteLimits
    from .telemetry import Watch


@dataclass(frozen=True)
class Opening:
    """How a model is opened; the arguments of `open_chat_model` but for the name."""

    dtype: str = "auto"
    progress: Progress | None = None
    find_adapter: FindAdapter | None = None
    watches: Sequence[Watch] = ()
    base_url: str | None = None
    limits: RemoteLimits | None = None

    def local(self, path: str, name: str) -> BaseChatModel:
        """Load the model of a folder or hub id."""
        return open_local_chat(
            path,
            dtype=self.dtype,
            name=name,
            find_adapter=self.find_adapter,
            watches=self.watches,
        )


@dataclass(frozen=True)
class Provider:
    """A kind of chat models, known by how they are named.

    Attributes:
        name: Name of the provider.
        forms: How its models are named, in short: for help texts.
        how: The same in full: for errors.
        fits: Says whether a name is one of its models'.
        open: Opens the model of a name. Blocks.
        check: Raises what `open` would where there is no such model; loads no weights. By default
            nothing is known before it is opened, as of a server's model.
        takes_base_url: Whether its models can be those of a server that is given.
    """

    name: str
    forms: str
    how: str
    fits: Callable[[str], bool]
    open: Callable[[str, Opening], BaseChatModel]
    check: Callable[[str], object] = lambda name: None
    takes_base_url: bool = False


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
        name: "auto"; an installed model; a folder, "local:..." or a hub id "owner/name";
            "python:module:factory"; or "provider:model" (see `PROVIDERS`).
        dtype: For models loaded here, see `device.choose_dtype`.
        progress: Called while an installed model is converted.
        find_adapter: For models loaded here: finds the LoRA adapters that calls name.
        watches: For models loaded here: called with the report of each batch.
        base_url: For "provider:model": the server, such as "http://127.0.0.1:8000/v1".
        limits: For "provider:model": time limits and retries; defaults where None.

    Raises:
        ModelNotFound: No provider has models of this name, or there is no such model.
        ModelUnusable: The model is there and can't be opened.
    """
    provider = _provider_of(name)
    if base_url is not None and (provider is None or not provider.takes_base_url):
        raise ModelUnusable(
            f"a base URL goes with 'provider:model', such as 'openai:NAME'; got {base_url} with "
            f"{name!r}: name the server's model, or leave the base URL out (PATLM_BASE_URL)",
            code="base_url_refused",
        )
    if provider is None:
        raise _unknown(name)
    return provider.open(name, Opening(dtype, progress, find_adapter, watches, base_url, limits))


def provider_of(name: str) -> Provider:
    """Return the provider of a model by the model's name; nothing is loaded.

    Raises:
        ModelNotFound: No provider has models of this name.
    """
    provider = _provider_of(name)
    if provider is None:
        raise _unknown(name)
    return provider


def server_of(name: str) -> str | None:
    """Return the provider in the name of a remote model ("openai"); None for other models."""
    provider = _provider_of(name)
    return name.partition(":")[0] if provider is not None and provider.takes_base_url else None


def forms_of_names() -> str:
    """Return how models are named, in short, for help texts."""
    return ", ".join(each.forms for each in reversed(PROVIDERS.values()))


def _provider_of(name: str) -> Provider | None:
    return next((each for each in reversed(PROVIDERS.values()) if each.fits(name)), None)


def resolved_name(name: str, dtype: str = "auto") -> str:
    """Return a model's name, for "auto" that of the best installed model that fits into memory.

    Args:
        name: As `open_chat_model` takes it.
        dtype: Number format of the weights; see `device.choose_dtype`.

    Raises:
        ModelNotFound: "auto", and no model is installed.
        ModelUnusable: "auto", and no installed model fits.
    """
    return best_installed(dtype).name if name == AUTO else name


def _unknown(name: str) -> ModelNotFound:
    if name == "bundled":
        return ModelNotFound(f"the chat model 'bundled' is now called {SMALLEST!r}: name that")
    return ModelNotFound(f"no chat model {name!r}: {_ways()}")


def _ways() -> str:
    ways = "; ".join(each.how for each in reversed(PROVIDERS.values()))
    return f"name a chat model in one of these ways: {ways}"


def _rest(name: str, prefix: str) -> str:
    """Return the part of a name after `prefix:`; empty where it does not begin so."""
    beginning, _, rest = name.partition(":")
    return rest if beginning == prefix else ""


def _is_folder(name: str) -> bool:
    return Path(name).expanduser().is_dir()


def _is_local(name: str) -> bool:
    hub_id = ":" not in name and name.count("/") == 1 and not name.startswith((".", "/", "~"))
    return _is_folder(name) or bool(_rest(name, "local")) or hub_id


def _is_remote(name: str) -> bool:
    provider, _, model = name.partition(":")
    return bool(model) and provider not in PROVIDERS


def _open_installed(name: str, how: Opening) -> BaseChatModel:
    name = resolved_name(name, how.dtype)
    return how.local(str(model_path(name, how.progress)), name)


def _open_local(name: str, how: Opening) -> BaseChatModel:
    if _is_folder(name):
        return how.local(str(Path(name).expanduser()), name)
    path = _rest(name, "local") or name
    return how.local(path, path)


def _check_local(name: str) -> None:
    """Read the configuration of a model that is loaded here; of a hub id perhaps from the hub."""
    place = name if _is_folder(name) else _rest(name, "local") or name
    with needed_for(f"the model {name!r}, which is loaded here,"):
        from transformers import AutoConfig
    folder = Path(place).expanduser()
    with quiet_loading(), told_by_transformers(place):
        AutoConfig.from_pretrained(
            str(folder) if folder.is_dir() else place, local_files_only=folder.is_dir()
        )


@contextmanager
def told_by_transformers(path: str) -> Iterator[None]:
    """Raise errors of ours for what transformers raises of a model that it can't load.

    Args:
        path: The model, as it was named.

    Raises:
        ModelNotFound: Nothing is there.
        ModelUnusable: A file is damaged, or it is another kind of model.
    """
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        raise ModelNotFound(f"no model at {path!r}: {error}") from error
    except (ValueError, KeyError, SafetensorError) as error:
        raise ModelUnusable(f"transformers can't load {path!r}: {error}") from error


def _open_factory(name: str, how: Opening) -> BaseChatModel:
    return _built(name, _find_factory(name))


def _find_factory(name: str) -> Callable[[], object]:
    module_name, _, attribute = _rest(name, "python").partition(":")
    try:
        found: Callable[[], object] = attrgetter(attribute)(importlib.import_module(module_name))
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelNotFound(f"no factory {name!r}: {error}; {_ways()}") from error
    return found


def _open_remote(name: str, how: Opening) -> BaseChatModel:
    with needed_for(f"the remote model {name!r}"):
        from langchain.chat_models import init_chat_model
    from .remote.chat_model import RemoteChatModel
    from .remote.server import Server

    server = Server.named(name, how.base_url)
    inner = _built(name, partial(init_chat_model, name, **server.options()))
    return _built(name, partial(RemoteChatModel, inner=inner, server=server, limits=how.limits))


def _built(name: str, factory: Callable[[], object]) -> BaseChatModel:
    """Call a factory that is not ours: the boundary where any error becomes one of ours."""
    from langchain_core.language_models import BaseChatModel

    try:
        model = factory()
    except ImportError as error:
        raise missing_extra(error, repr(name)) or ModelNotFound(f"{name!r}: {error}") from error
    except Exception as error:  # noqa: BLE001 - providers raise kinds of their own
        raise ModelUnusable(
            f"{name!r} could not be opened: {error}; {_ways()}", code="cannot_open_model"
        ) from error
    if not isinstance(model, BaseChatModel):
        raise ModelUnusable(
            f"{name!r} must give a LangChain BaseChatModel; it gave {type(model).__name__}",
            code="not_a_model",
        )
    return model


def _is_installable(name: str) -> bool:
    return name == AUTO or any(name == each.name for each in chat_models())


_INSTALLABLE = (AUTO, *(model.name for model in chat_models()))

PROVIDERS: dict[str, Provider] = {
    each.name: each
    for each in (
        Provider(
            "remote",
            "provider:model",
            "'provider:model' as init_chat_model takes it, such as 'openai:gpt-4o-mini', or "
            "'openai:NAME' with the base URL of an OpenAI-compatible server "
            "(pip install 'patlm[remote]')",
            _is_remote,
            _open_remote,
            takes_base_url=True,
        ),
        Provider(
            "python",
            "python:package.module:factory",
            "'python:package.module:factory' (a factory without arguments, or a BaseChatModel "
            "class)",
            lambda name: bool(_rest(name, "python")),
            _open_factory,
            _find_factory,
        ),
        Provider(
            "local",
            "a path, a hub id",
            "a folder, 'local:FOLDER-OR-HUB-ID' or a hub id 'owner/name'",
            _is_local,
            _open_local,
            _check_local,
        ),
        Provider(
            "installed",
            ", ".join(_INSTALLABLE),
            "'auto' (the best installed model that fits into memory) or an installed model "
            f"({', '.join(_INSTALLABLE[1:])}; `patlm models install NAME`)",
            _is_installable,
            _open_installed,
            check_installed,
        ),
    )
}
"""All providers by name, the most general first; of several that fit a name, the last is taken."""


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
        name: Name of the model in its answers; the path where None.
        sampling: Settings of calls that leave them out.
        limits: Size of batches.
        find_adapter: Finds the LoRA adapters that calls name; None: there are none.
        watches: Called with the report of each batch.

    Raises:
        MissingExtra: The extra [local] is not installed.
        ModelNotFound: Nothing is there under this path.
        ModelUnusable: What is there is no causal language model that transformers loads.
    """
    with needed_for(f"the model {name or path!r}, which is loaded here,"):
        from langchain_huggingface import HuggingFacePipeline

        from .local.chat_model import LocalChatModel
        from .local.int8_storage import store_in_int8

    device, narrow = choose_device(), keeps_int8(dtype, _bytes_in_bf16(path) // 2)
    number_format = choose_dtype(dtype, device)
    fit_threads()
    with quiet_loading():
        with told_by_transformers(path):
            llm = HuggingFacePipeline.from_model_id(
                path,
                task="text-generation",
                device=0 if device == "cuda" else None,
                model_kwargs={
                    "dtype": "bfloat16" if narrow else number_format,
                    "local_files_only": Path(path).is_dir(),
                },
            )
        model = LocalChatModel(
            llm=llm,
            model_id=name or path,
            sampling=sampling,
            limits=limits,
            find_adapter=find_adapter,
            watches=watches,
        )
        if narrow:  # after: adapters are found by a hash of the weights in the files
            store_in_int8(llm.pipeline.model)
        return model


def _bytes_in_bf16(path: str) -> int:
    """Return the size of a folder's weights if they are bf16 numbers; 0 of all else."""
    try:
        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    if not isinstance(config, dict) or config.get("dtype") != "bfloat16":
        return 0
    return sum(file.stat().st_size for file in Path(path).glob("*.safetensors"))


@runtime_checkable
class _Named(Protocol):
    model_name: str


def model_name(model: BaseChatModel) -> str:
    """Return the name of a chat model, or that of its class where it has none."""
    return model.model_name if isinstance(model, _Named) else type(model).__name__


def is_local(model: object) -> TypeGuard[LocalChatModel]:
    """Return whether a model is a `LocalChatModel`, without importing that: it loads torch."""
    module = sys.modules.get(f"{__package__}.local.chat_model")
    return module is not None and isinstance(model, module.LocalChatModel)


@runtime_checkable
class CountsTokens(Protocol):
    """A model that has its tokenizer here, such as `LocalChatModel`."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""


def token_counter(model: BaseChatModel) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text for this model.

    Never `BaseChatModel.get_num_tokens`: its default fetches GPT-2's tokenizer from a hub. Models
    without a tokenizer of their own get four characters a token.
    """
    return model.count_tokens if isinstance(model, CountsTokens) else _roughly


def _roughly(text: str) -> int:
    from langchain_core.messages import HumanMessage
    from langchain_core.messages.utils import count_tokens_approximately

    # `extra_tokens_per_message` is for the turn's frame, which a bare text has none of.
    return count_tokens_approximately([HumanMessage(text)], extra_tokens_per_message=0)
