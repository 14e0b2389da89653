"""Is a folder an adapter that can serve? Its manifest, checksums, configuration and tensors.

Nothing here loads a weight: the checksum is taken over the bytes, and of the safetensors file only
the header is read, which says whether the file is complete and what the tensors are called.
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
from .manifest import CONFIG, FILES, MANIFEST, PEOPLE, WEIGHTS, Manifest

_AGAIN = "add it again from where it was trained"

#: Settings of PEFT's LoRA that can't be had for single rows of a batch, or that change the base
#: model under all others (peft 0.21, `LoraConfig`). Each has to be false, empty or null.
_NOT_PER_ROW = (
    "use_dora",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
)

#: Initialisations after which the base model's own weights are others, when PEFT loads them too.
_REWRITES_THE_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in an adapter's folder, which bears the adapter's name.

    Raises:
        AdapterDamaged: It is missing, can't be read, is of another version or another adapter's.
    """
    name = folder.name
    try:
        manifest = Manifest.model_validate_json(_read(name, folder / MANIFEST))
    except ValidationError as error:
        field = InvalidField.of(error)
        raise AdapterDamaged(
            f"adapter {name}: {MANIFEST} is none that this patlm reads: {field}, "
            f"got {_shorten(field.value)}: {_AGAIN}"
        ) from None
    if manifest.name != name:
        raise AdapterDamaged(
            f"adapter {name}: its {MANIFEST} is that of {manifest.name}: give the folder back its "
            f"name, or {_AGAIN}"
        )
    return manifest


def check_files(name: str, folder: Path, expected: Mapping[str, str]) -> None:
    """Compare the files of an adapter with their checksums.

    Args:
        name: What the adapter is called.
        folder: Where it lies.
        expected: sha256 in hex, by file; `trained_on.txt` need not be among them.

    Raises:
        AdapterDamaged: One is missing, can't be read, has no checksum or another one.
    """
    for file in (*FILES, PEOPLE) if PEOPLE in expected else FILES:
        check_file(name, folder, file, expected)


def check_file(name: str, folder: Path, file: str, expected: Mapping[str, str]) -> None:
    """Compare one file of an adapter with its checksum, as `check_files` does all.

    Raises:
        AdapterDamaged: It is missing, can't be read, has no checksum or another one.
    """
    found = checksum(name, folder / file)
    if file not in expected:
        raise AdapterDamaged(f"adapter {name}: its {MANIFEST} has no sha256 of {file}: {_AGAIN}")
    if found != expected[file]:
        raise AdapterDamaged(
            f"adapter {name}: {file} was changed or damaged: expected sha256 "
            f"{expected[file][:16]}..., got {found[:16]}...: {_AGAIN}"
        )


def check_shape(name: str, folder: Path) -> None:
    """See that an adapter is LoRA that can share a batch, and that its weights are complete.

    Raises:
        AdapterDamaged: Configuration or weights are missing or can't be read.
        AdapterUnfit: It is no LoRA, or one that changes more than the rows it was asked for.
    """
    _check_config(name, folder / CONFIG)
    _check_weights(name, folder / WEIGHTS)


def checksum(name: str, path: Path) -> str:
    """Return the sha256 of a file of an adapter, in hex.

    Raises:
        AdapterDamaged: It is missing or can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(name, path, error) from error


def _check_config(name: str, path: Path) -> None:
    try:
        config: Any = json.loads(_read(name, path))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise AdapterDamaged(f"adapter {name}: {path.name} is no JSON object: {_AGAIN}")
    kind = config.get("peft_type")
    if kind != "LORA":
        raise AdapterUnfit(
            f"adapter {name}: expected peft_type LORA, got {kind!r}: train it with LoRA, nothing "
            "else is served"
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
            f"adapter {name}: {path.name} is no whole safetensors file: {error}: {_AGAIN}"
        ) from error
    others = [tensor for tensor in tensors if ".lora_" not in tensor]
    if others or not tensors:
        came = f"{len(others)} others, such as {others[0]}" if others else "none"
        raise AdapterUnfit(
            f"adapter {name}: expected tensors of LoRA only in {path.name}, got {came}: save the "
            "adapter alone, by PEFT's `save_pretrained`"
        )


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(name, path, error) from error


def _unreadable(name: str, path: Path, error: OSError) -> AdapterDamaged:
    if isinstance(error, FileNotFoundError):
        return AdapterDamaged(
            f"adapter {name}: expected {', '.join(FILES)} and {MANIFEST}, {path.name} is missing: "
            f"{_AGAIN}"
        )
    return AdapterDamaged(
        f"adapter {name}: {path.name} can't be read: {error.strerror or error}: make it readable, "
        f"or {_AGAIN}"
    )


def _shorten(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}..."
