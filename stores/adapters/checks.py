"""Check that a folder holds a servable adapter: manifest, checksums, configuration, tensor names.

No weights are loaded: checksums cover the bytes of the files, and only the header of the
safetensors file is read, which shows whether the file is complete and names its tensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from ..errors import AdapterDamaged, AdapterUnfit, InvalidField
from ..files import below, read_small
from .manifest import CONFIG, FILES, MANIFEST, PEOPLE, WEIGHTS, Manifest

_AGAIN = "add it again from where it was trained"

#: Fields of PEFT's `LoraConfig` (0.21) that don't work for single rows of a batch, or that change
#: the base model for all rows. Each must be false, empty or null.
_NOT_PER_ROW = (
    "use_dora",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "megatron_config",
)

#: Initialisations that change the base model's weights, also when PEFT loads the adapter.
_REWRITES_THE_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the adapter that the folder is named after.

    Raises:
        AdapterDamaged: It is missing, unreadable, of another version, or of another adapter, or the
            folder is a link that leads elsewhere.
    """
    name = folder.name
    below(folder.parent, name, error=AdapterDamaged)
    try:
        manifest = Manifest.model_validate_json(_read(name, folder, MANIFEST))
    except ValidationError as error:
        field = InvalidField.of(error)
        raise AdapterDamaged(
            f"adapter {name}: {MANIFEST} is not valid for this patlm: {field}, "
            f"got {_shorten(field.value)}: {_AGAIN}",
            code="invalid_manifest",
        ) from None
    if manifest.name != name:
        raise AdapterDamaged(
            f"adapter {name}: its {MANIFEST} is that of {manifest.name}: restore the folder's "
            f"name, or {_AGAIN}"
        )
    return manifest


def check_files(name: str, folder: Path, expected: Mapping[str, str]) -> None:
    """Verify the checksums of an adapter's files.

    Args:
        name: Name of the adapter.
        folder: Folder of the adapter.
        expected: sha256 in hex, by file; `trained_on.txt` is optional.

    Raises:
        AdapterDamaged: A file is missing or unreadable, or its checksum is missing or differs.
    """
    for file in (*FILES, PEOPLE) if PEOPLE in expected else FILES:
        check_file(name, folder, file, expected)


def check_file(name: str, folder: Path, file: str, expected: Mapping[str, str]) -> None:
    """Verify the checksum of one file of an adapter.

    Raises:
        AdapterDamaged: The file is missing or unreadable, or its checksum is missing or differs.
    """
    found = checksum(name, below(folder, file, error=AdapterDamaged))
    if file not in expected:
        raise AdapterDamaged(f"adapter {name}: its {MANIFEST} has no sha256 of {file}: {_AGAIN}")
    if found != expected[file]:
        raise AdapterDamaged(
            f"adapter {name}: {file} was changed or damaged: expected sha256 "
            f"{expected[file][:16]}..., got {found[:16]}...: {_AGAIN}",
            code="adapter_file_changed",
        )


def check_shape(name: str, folder: Path) -> None:
    """Check that an adapter is plain LoRA, which can share a batch, and that its file is complete.

    Raises:
        AdapterDamaged: Configuration or weights are missing or unreadable.
        AdapterUnfit: It is not LoRA, or can't be applied to single rows of a batch.
    """
    _check_config(name, folder)
    _check_weights(name, folder / WEIGHTS)


def checksum(name: str, path: Path) -> str:
    """Return the sha256 of an adapter's file, in hex.

    Raises:
        AdapterDamaged: The file is missing or unreadable.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(name, path, error) from error


def _check_config(name: str, folder: Path) -> None:
    try:
        config: Any = json.loads(_read(name, folder, CONFIG))
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise AdapterDamaged(f"adapter {name}: {CONFIG} is not a JSON object: {_AGAIN}")
    kind = config.get("peft_type")
    if kind != "LORA":
        raise AdapterUnfit(
            f"adapter {name}: expected peft_type LORA, got {kind!r}: train it with LoRA, the only "
            "supported type"
        )
    found = [f"{key}={_shorten(config[key])}" for key in _NOT_PER_ROW if config.get(key)]
    if config.get("bias", "none") != "none":
        found.append(f"bias={config['bias']}")
    if str(config.get("init_lora_weights")).lower().startswith(_REWRITES_THE_BASE):
        found.append(f"init_lora_weights={config['init_lora_weights']}")
    if found:
        raise AdapterUnfit(
            f"adapter {name}: expected plain LoRA, got {', '.join(found)}, which can't be mixed "
            "with other adapters in one batch: train it without"
        )


def _check_weights(name: str, path: Path) -> None:
    try:
        with safe_open(path, framework="numpy") as file:
            tensors: list[str] = list(file.keys())
    except FileNotFoundError as error:
        raise _unreadable(name, path, error) from error
    except (SafetensorError, OSError) as error:
        raise AdapterDamaged(
            f"adapter {name}: {path.name} is not a complete safetensors file: {error}: {_AGAIN}"
        ) from error
    others = [tensor for tensor in tensors if ".lora_" not in tensor]
    if others or not tensors:
        found = f"{len(others)} others, such as {others[0]}" if others else "none"
        raise AdapterUnfit(
            f"adapter {name}: expected only LoRA tensors in {path.name}, got {found}: save the "
            "adapter alone, with PEFT's `save_pretrained`"
        )


def _read(name: str, folder: Path, file: str) -> bytes:
    path = below(folder, file, error=AdapterDamaged)
    try:
        return read_small(path, error=AdapterDamaged)
    except OSError as error:
        raise _unreadable(name, path, error) from error


def _unreadable(name: str, path: Path, error: OSError) -> AdapterDamaged:
    if isinstance(error, FileNotFoundError):
        return AdapterDamaged(
            f"adapter {name}: expected {', '.join(FILES)} and {MANIFEST}, {path.name} is missing: "
            f"{_AGAIN}",
            code="adapter_file_missing",
        )
    return AdapterDamaged(
        f"adapter {name}: {path.name} can't be read: {error.strerror or error}: make it readable, "
        f"or {_AGAIN}"
    )


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
