"""Load a local chat model, from a folder or by hub id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from langchain_huggingface import HuggingFacePipeline

from .adapter_slots import FindAdapter
from .batch_report import Watch
from .device import choose_device, choose_dtype, fit_threads
from .errors import ModelNotFound, ModelUnusable
from .local_chat import LocalChatModel
from .quiet import quiet_loading
from .sampling import Sampling
from .scheduling import BatchLimits


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
