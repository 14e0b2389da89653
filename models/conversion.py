"""Convert a GGUF file into a folder that transformers loads in a second or two, in one pass.

transformers reads a GGUF file by way of a whole model in fp32 and refuses to save that. Here its
configuration, tokenizer and tensor names are used, and the weights go one by one from the file's
blocks to bf16 on disk, in parallel over the cores, so that memory holds one shard of them.

bf16 is precise enough: the weights come from four-bit blocks, whose rounding is twenty times
coarser. Measured with smollm2-135m on 827 tokens of reviews: KL divergence from the fp32 weights
6e-5 nats a token, the same most likely token in 99.3% of places, mean negative log-likelihood
4.1647 against 4.1646.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib

from .errors import ModelUnusable
from .quiet import quiet_loading

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel

#: Called with the share done (0 to 1) and a description of the step.
Progress = Callable[[float, str], None]

SHARD_BYTES = 500_000_000
"""Least size of all files of weights but the last."""

BLOCK_VALUES = 1 << 18
"""Values that are dequantised at a time: their intermediate results stay in a core's cache."""


def convert(source: Path, folder: Path, progress: Progress) -> None:
    """Write model and tokenizer of a GGUF file as transformers saves them. Blocks.

    Args:
        source: The GGUF file.
        folder: An empty folder.
        progress: Called all the while.

    Raises:
        ModelUnusable: The file is not a GGUF of a language model that transformers knows.
        OSError: The folder can't be written.
    """
    progress(0.0, "loading libraries")
    from gguf import GGUFReader
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    where = {"gguf_file": source.name, "local_files_only": True}
    with quiet_loading():
        try:
            progress(0.05, "reading the configuration")
            config = AutoConfig.from_pretrained(str(source.parent), **where)
            progress(0.1, "reading the tokenizer")
            tokenizer = AutoTokenizer.from_pretrained(str(source.parent), **where)
            progress(0.2, "reading the names of the weights")
            model = _skeleton(config)
            plan = _plan(GGUFReader(source).tensors, model)
        except (ValueError, KeyError, IndexError, RuntimeError, struct.error) as error:
            raise ModelUnusable(f"transformers can't read {source}: {error}") from error
        tokenizer.save_pretrained(folder)
        config.architectures = [type(model).__name__]
        config.dtype = "bfloat16"
        config.save_pretrained(folder)
        GenerationConfig.from_model_config(config).save_pretrained(folder)
        _write_weights(plan, folder, lambda share, doing: progress(0.25 + 0.75 * share, doing))


@dataclass(frozen=True)
class _Weight:
    """One tensor of the GGUF file and its name in transformers.

    Attributes:
        shape: In torch's order.
        read: Returns its values in fp32.
    """

    name: str
    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.float32]]

    @property
    def bytes(self) -> int:
        """Its size in bf16."""
        size = 2
        for length in self.shape:
            size *= length
        return size


def _skeleton(config: PretrainedConfig) -> PreTrainedModel:
    """Return the model without memory for its weights: for their names."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    return model


def _plan(tensors: Sequence[Any], model: PreTrainedModel) -> list[_Weight]:
    """Return the weights in the order of the file.

    Raises:
        ValueError: The file lacks a weight of the model.
    """
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    kind = model.config.model_type
    make: Callable[..., Any] = TENSOR_PROCESSORS.get(kind, TensorProcessor)
    processor = make(config=model.config.to_dict())
    names = get_gguf_hf_weights_map(model, processor)
    plan = []
    for tensor in tensors:
        if (name := names.get(tensor.name)) is not None:
            shape = tuple(int(length) for length in reversed(tensor.shape))
            plan.append(_Weight(name, shape, _reader(tensor, shape, processor)))
    tied = set(model.all_tied_weights_keys)
    missing = set(model.state_dict()) - {weight.name for weight in plan} - tied
    if missing:
        raise ValueError(f"it lacks {len(missing)} weights, such as {min(missing)}")
    return plan


def _reader(
    tensor: Any, shape: tuple[int, ...], processor: Any
) -> Callable[[], NDArray[np.float32]]:
    def read() -> NDArray[np.float32]:
        values: NDArray[np.float32] = _dequantised(tensor).reshape(shape)
        # llama.cpp stores some weights in another order; the processor restores transformers'.
        restored: NDArray[np.float32] = processor.process(weights=values, name=tensor.name).weights
        return restored

    return read


def _dequantised(tensor: Any) -> NDArray[np.float32]:
    """Return the values of a tensor, computed in blocks on all cores: numpy frees the GIL."""
    import numpy as np
    from gguf import GGML_QUANT_SIZES, dequantize

    block_values, block_bytes = GGML_QUANT_SIZES[tensor.tensor_type]
    raw = np.asarray(tensor.data).reshape(-1)
    if block_values == 1:  # plain numbers
        # Copied: the file is mapped read-only, and torch warns of such an array.
        return np.array(dequantize(np.asarray(tensor.data), tensor.tensor_type)).reshape(-1)
    values = np.empty(tensor.n_elements, np.float32)
    step = BLOCK_VALUES // block_values

    def fill(first: int) -> None:
        some = raw[first * block_bytes : (first + step) * block_bytes]
        # As one row: of several, gguf takes sixteen at a time.
        start = first * block_values
        values[start : start + step * block_values] = dequantize(
            some.reshape(1, -1), tensor.tensor_type
        ).reshape(-1)

    with ThreadPoolExecutor(max(1, int(joblib.cpu_count()))) as pool:
        for _ in pool.map(fill, range(0, len(raw) // block_bytes, step)):
            pass
    return values


def _write_weights(plan: Sequence[_Weight], folder: Path, progress: Progress) -> None:
    """Write the weights in shards with an index, as transformers does."""
    import torch
    from safetensors.torch import save_file

    shards = list(_shards(plan))
    whole = sum(weight.bytes for weight in plan)
    done, where = 0, {}
    for number, shard in enumerate(shards, start=1):
        file = "model.safetensors"
        if len(shards) > 1:
            file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        tensors: dict[str, torch.Tensor] = {}
        for weight in shard:
            values = torch.from_numpy(weight.read()).to(torch.bfloat16).contiguous()
            tensors[weight.name], where[weight.name] = values, file
            done += weight.bytes
            progress(done / whole, f"converting, {done / 1e6:,.0f} of {whole / 1e6:,.0f} MB")
        save_file(tensors, folder / file, metadata={"format": "pt"})
    if len(shards) > 1:
        index = {"metadata": {"total_size": whole}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))


def _shards(plan: Sequence[_Weight]) -> Iterator[list[_Weight]]:
    shard: list[_Weight] = []
    for weight in plan:
        shard.append(weight)
        if sum(each.bytes for each in shard) >= SHARD_BYTES:
            yield shard
            shard = []
    if shard:
        yield shard
