"""LoRA adapters of one base model: loaded on demand, evicted to stay within a memory budget.

Each row of a batch names its adapter (PEFT's `adapter_names`). Only a batch whose rows all use the
same adapter switches the model to it. Switching, loading and evicting change the modules, so only
the generating thread does it, between two batches.

New adapters have rank 16 on the seven linear modules of the top third of the layers: 3.3 MB in bf16
for smollm2-135m. An adapter on all layers takes three times as long in a mixed batch.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AdapterRefused
from ..quiet import quiet_loading

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PretrainedConfig, PreTrainedModel

VALUES = 64
"""Values of each tensor that enter the hash: enough to distinguish any two trainings."""


def fingerprint(model: PreTrainedModel) -> str:
    """Return 16 hex digits of a sha256 over names, shapes and first values of all weights.

    Values are rounded to bf16, so a model has the same name in fp32 and in bf16.

    Args:
        model: Without adapters: they would change the names.
    """
    import torch

    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        first = weight.detach().reshape(-1)[:VALUES].to("cpu", torch.bfloat16)
        digest.update(f"{name} {tuple(weight.shape)} ".encode())
        digest.update(first.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]


NO_ADAPTER = "__base__"
"""PEFT's name for a row that runs on the base model."""

SHARE_OF_BASE = 0.1
"""Memory for all adapters, as a share of the base model's."""


@dataclass(frozen=True)
class AdapterFiles:
    """The files of an adapter.

    Attributes:
        path: A folder in PEFT's format.
        base: Fingerprint of the base model that it was trained on; None if unknown.
    """

    path: Path
    base: str | None = None


FindAdapter = Callable[[str], AdapterFiles]
"""Returns an adapter by its name, or raises the error that says why it is not available."""


class AdapterSlots:
    """The adapters of one model.

    Attributes:
        base: The base model.
        fingerprint: The base model's name in the manifests of adapters.
        parameters: Number of the base model's weights.

    Args:
        model: The base model; its linear layers are wrapped when the first adapter is loaded.
        find: Finds an adapter by name; None if there are none.
        budget: Memory for adapters in bytes; None for a tenth of the base model's size.
    """

    def __init__(
        self, model: PreTrainedModel, find: FindAdapter | None = None, budget: int | None = None
    ) -> None:
        self.fingerprint = fingerprint(model)
        self.parameters = sum(weight.numel() for weight in model.parameters())
        self.base, self._find = model, find
        own = sum(weight.numel() * weight.element_size() for weight in model.parameters())
        self._budget = int(own * SHARE_OF_BASE) if budget is None else budget
        self._peft: PeftModel | None = None
        self._found: dict[str, AdapterFiles] = {}
        self._bytes: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def loaded(self) -> dict[str, int]:
        """Bytes of each adapter in memory, the least recently used first."""
        with self._lock:
            return dict(self._bytes)

    def check(self, name: str) -> None:
        """Find an adapter and check that it fits the model, in the caller's thread.

        Raises:
            AdapterRefused: It is not there, is damaged, or can't be used with this model.
        """
        with self._lock:
            if name in self._bytes or name in self._found:
                return
        if self._find is None:
            raise AdapterRefused(
                f"adapter {name} is not installed here, for no adapters were given to this model: "
                "leave `adapter` out for the base model",
                code="adapter_missing",
            )
        try:
            files = self._find(name)
        except (OSError, ValueError, RuntimeError) as error:
            raise AdapterRefused(f"adapter {name} can't be used: {error}") from error
        if files.base is not None and files.base != self.fingerprint:
            raise AdapterRefused(
                f"adapter {name} was made for the base model {files.base}, and this one is "
                f"{self.fingerprint}: train it on this model, or serve that one"
            )
        _read_config(name, files.path)
        with self._lock:
            self._found[name] = files

    def hold(self, names: Iterable[str]) -> dict[str, AdapterRefused]:
        """Load adapters into the model, and evict others where the budget requires it.

        Adapters of one batch are all kept, even if they exceed the budget together.

        Args:
            names: The adapters of one batch, each `check`ed.

        Returns:
            The error of each adapter that could not be loaded.
        """
        wanted, refused = set(names), {}
        for name in sorted(wanted):
            if name in self._bytes:
                self._bytes.move_to_end(name)
                continue
            try:
                self.check(name)  # it may have been evicted since its caller checked
                self._load(name)
            except AdapterRefused as error:
                refused[name] = error
            # The boundary to PEFT and safetensors, which raise errors of their own kinds.
            except Exception as error:  # noqa: BLE001
                self._forget(name)
                refused[name] = AdapterRefused(f"adapter {name} could not be loaded: {error}")
        self._drop_others(wanted)
        return refused

    def model_for(self, names: Iterable[str | None]) -> tuple[Any, dict[str, Any]]:
        """Return the model that generates a batch, and the arguments that name the adapters."""
        if self._peft is None or not self._bytes:
            return self.base, {}
        wanted = [name or NO_ADAPTER for name in names]
        if len(set(wanted)) == 1 and wanted[0] != NO_ADAPTER:
            # One adapter for all rows: picking rows would cost a single call 10%.
            self._peft.set_adapter(wanted[0])
            return self._peft, {}
        return self._peft, {"adapter_names": wanted}

    def _load(self, name: str) -> None:
        from peft import PeftModel

        path = str(self._found[name].path)
        config = _read_config(name, Path(path))
        # PEFT calls transformers by a deprecated name; a user can't do anything about it.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
        with quiet_loading():
            if self._peft is None:
                # PEFT wraps the base model in place; weights are read below, as for all others.
                self._peft = PeftModel(
                    self.base, config, adapter_name=name, autocast_adapter_dtype=False
                )
            result = self._peft.load_adapter(
                path, adapter_name=name, is_trainable=False, autocast_adapter_dtype=False
            )
        # PEFT ignores the rows' adapters unless one is active, and that one may have been evicted.
        self._peft.set_adapter(name)
        self._peft.requires_grad_(False).eval()
        own = {key: weight for key, weight in self._peft.named_parameters() if f".{name}." in key}
        missing = [key for key in result.missing_keys if f".{name}." in key]
        if not own or missing or result.unexpected_keys:
            raise ValueError(
                f"its weights do not fit its configuration ({len(missing)} are missing, "
                f"{len(result.unexpected_keys)} are not known)"
            )
        with self._lock:
            self._bytes[name] = sum(w.numel() * w.element_size() for w in own.values())

    def _drop_others(self, wanted: set[str]) -> None:
        for name in [name for name in self._bytes if name not in wanted]:
            if sum(self._bytes.values()) <= self._budget:
                return
            self._forget(name)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._found.pop(name, None)
            self._bytes.pop(name, None)
            others = list(self._bytes)
        if self._peft is not None and name in self._peft.peft_config:
            if others:  # otherwise PEFT warns that it chooses another active adapter
                self._peft.set_adapter(others[-1])
            self._peft.delete_adapter(name)


def _read_config(name: str, path: Path) -> LoraConfig:
    """Return an adapter's configuration.

    Raises:
        AdapterRefused: It is not LoRA, or it can't be mixed with others in a batch.
    """
    from peft import LoraConfig, PeftConfig

    try:
        config = PeftConfig.from_pretrained(str(path), local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise AdapterRefused(
            f"adapter {name} has no configuration that PEFT reads: {error}", code="adapter_unfit"
        ) from error
    if not isinstance(config, LoraConfig):
        raise AdapterRefused(
            f"adapter {name} is {config.peft_type}, and only LoRA is served", code="adapter_unfit"
        )
    mixed = {
        "use_dora": config.use_dora,
        "modules_to_save": config.modules_to_save,
        "trainable_token_indices": config.trainable_token_indices,
        "bias": config.bias != "none",
    }
    if bad := [key for key, value in mixed.items() if value]:
        raise AdapterRefused(
            f"adapter {name} uses {', '.join(bad)}, which can't be mixed with other adapters in "
            "one batch: train it without",
            code="adapter_unfit",
        )
    return config


RANK = 16
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def lora_config(config: PretrainedConfig, **changes: Any) -> LoraConfig:
    """Return the configuration of a new adapter.

    Args:
        config: Configuration of the base model, for its number of layers.
        **changes: Fields of PEFT's `LoraConfig` in place of the defaults.
    """
    from peft import LoraConfig

    layers = int(config.num_hidden_layers)
    fields: dict[str, Any] = {
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": list(MODULES),
        "layers_to_transform": list(range(layers - layers // 3, layers)),
        "task_type": "CAUSAL_LM",
    }
    return LoraConfig(**{**fields, **changes})
