"""Install, find and remove the catalogue's models, and choose the one that fits this machine.

A model is a folder below `PATLM_CACHE`, written under another name and renamed, so it is complete
or missing; a file lock makes a second process wait. `manifest.json` holds size and SHA-256 of every
file. A package that was installed with pip and holds a model serves, too: its file is converted on
first use.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from .catalogue import AUTO, CATALOGUE, SMALLEST, TOPIC, Installable, chat_models
from .device import bytes_per_weight, free_memory
from .download import Progress, bytes_here, checksum, fetch, fetch_folder, packaged_file
from .errors import ModelNotFound, ModelUnusable, UnknownModel
from .extras import check_extra

_LAYOUT = 2
_MANIFEST = "manifest.json"

SMALL_FILE = 16_000_000
"""Files up to this size are compared by SHA-256 whenever a model is opened, larger ones by size."""

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return where models are kept: `PATLM_CACHE`, or the user's cache folder."""
    named = os.environ.get("PATLM_CACHE")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("patlm")


def folder_size(path: Path) -> int:
    """Return the bytes of all files under a folder; 0 where it is missing."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


@dataclass(frozen=True)
class InstalledModel:
    """The state of one model, as `patlm models list` shows it.

    Attributes:
        installed: "yes", "no", "damaged", or "package": a package holds it, and a chat model is
            converted on first use.
        path: The folder to load, or ""; of a model in a package the package's.
        bytes: Size of `path`.
        memory: Bytes of memory to write with it, in the number format of this machine.
        download: Bytes of its download.
        disk: Bytes of the installed folder.
    """

    name: str
    title: str
    kind: str
    installed: str
    path: str
    bytes: int
    parameters: int
    licence: str
    memory: int
    download: int
    disk: int
    about: str


def listed(dtype: str = "auto") -> list[InstalledModel]:
    """Describe all models of the catalogue, installed or not.

    Args:
        dtype: Number format of the weights, see `device.choose_dtype`.
    """
    return [_describe(model, dtype) for model in CATALOGUE.values()]


def _describe(model: Installable, dtype: str) -> InstalledModel:
    folder, packaged = _folder(model), packaged_file(model)
    if _is_whole(folder):
        state, path = "yes", str(folder)
    elif packaged is not None:
        state, path = "package", str(packaged.parent)
    else:
        state, path = ("damaged" if folder.exists() else "no"), ""
    return InstalledModel(
        name=model.name,
        title=model.title,
        kind=model.kind,
        installed=state,
        path=path,
        bytes=folder_size(Path(path)) if path else 0,
        parameters=model.parameters,
        licence=model.licence,
        memory=_memory(model, dtype),
        download=model.bytes,
        disk=model.disk,
        about=model.about,
    )


def _memory(model: Installable, dtype: str) -> int:
    return model.memory(bytes_per_weight(dtype, model.values))


def entry(name: str) -> Installable:
    """Return a model of the catalogue.

    Raises:
        ModelNotFound: There is none of this name.
    """
    if name not in CATALOGUE:
        raise UnknownModel(f"no model {name!r} to install: expected one of {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def model_path(name: str, progress: Progress | None = None) -> Path:
    """Return the folder of an installed model; one in a package is converted on first use.

    Args:
        name: A name of the catalogue.
        progress: Called during a conversion.

    Raises:
        MissingExtra: It needs torch, which is not installed.
        ModelNotFound: It is not installed.
        ModelUnusable: It is damaged, or can't be converted.
    """
    model = entry(name)
    _check_loadable(model)
    folder, packaged = _folder(model), packaged_file(model)
    if _is_whole(folder):
        return folder
    if packaged is not None:
        return packaged.parent if model.kind == "encoder" else install(name, progress)
    again = f"run `patlm models install {name}` ({model.bytes / 1e6:,.0f} MB)"
    if folder.exists():
        raise ModelUnusable(
            f"{name} in {folder} is damaged: {again}, which replaces it", code="damaged_model"
        )
    raise ModelNotFound(
        f"{name} is not installed: {again}, or name another model", code="not_installed"
    )


def check_installed(name: str) -> None:
    """Check that a model of the catalogue is here and whole; `auto` stands for one that is.

    Raises:
        ModelNotFound: It is not installed.
        ModelUnusable: It is damaged.
    """
    model = CATALOGUE.get(name)
    if model is not None and not _is_whole(_folder(model)) and packaged_file(model) is None:
        model_path(name)  # raises


def topic_model_path() -> Path:
    """Return the folder of the topic encoder.

    Raises:
        ModelNotFound: It is not installed.
    """
    return model_path(TOPIC)


def install(name: str, progress: Progress | None = None) -> Path:
    """Download, check and convert a model; one that is installed is left as it is. Blocks.

    Args:
        name: A name of the catalogue.
        progress: Called all the while with the share done and a description.

    Raises:
        ModelNotFound: There is no such model.
        ModelUnusable: It can't be downloaded or converted, or the disk is too small. Nothing of it
            is installed; a partial download is kept for the next attempt.
    """
    model, report = entry(name), progress or _silent
    folder = _folder(model)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder, report):
            packaged = packaged_file(model)
            if _is_whole(folder):
                return folder
            if model.kind == "encoder" and packaged is not None:
                return packaged.parent
            _check_loadable(model)
            _check_disk(model)
            with _replacing(folder) as fresh:
                _fill(model, fresh, report)
            shutil.rmtree(_downloads(model), ignore_errors=True)
    except OSError as error:
        raise ModelUnusable(
            f"{name} can't be installed in {cache_folder()}: {error.strerror or error}; nothing is "
            f"installed: free {_gigabytes(_disk_needed(model))} there, or set PATLM_CACHE to "
            "another folder",
            code="cannot_install",
        ) from error
    report(1.0, f"{name} is installed")
    return folder


def _check_loadable(model: Installable) -> None:
    if model.kind == "chat":
        check_extra("local", f"{model.name} needs torch, which is not installed")


def _fill(model: Installable, folder: Path, report: Progress) -> None:
    """Write all files of a model, the manifest last."""
    if model.kind == "encoder":
        fetch_folder(model, folder, report)
    else:
        from .conversion import convert

        source = fetch(model, _downloads(model), partial(_within, report, 0.0, 0.5))
        convert(source, folder, partial(_within, report, 0.5, 0.97))
    report(0.97, "checksums")
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": checksum(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {"layout": _LAYOUT, "source": model.sha256, "files": files}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1))


def _within(report: Progress, start: float, end: float, share: float, doing: str) -> None:
    report(start + (end - start) * share, doing)


def remove(name: str) -> int:
    """Remove an installed model and what was downloaded of it; return the bytes freed.

    Raises:
        ModelNotFound: There is no such model, or nothing of it is here.
        ModelUnusable: The folder can't be removed.
    """
    model = entry(name)
    folder = _folder(model)
    here = [path for path in (folder, _downloads(model)) if path.exists()]
    here += folder.parent.glob(f"{name}.partial-*")
    if not here:
        packaged = packaged_file(model)
        where = f"; pip installed it in {packaged.parent}" if packaged is not None else ""
        raise ModelNotFound(
            f"{name} is not installed in {cache_folder()}{where}", code="not_installed"
        )
    freed = sum(folder_size(path) for path in here)
    try:
        with _locked(folder):
            for path in here:
                going = Path(tempfile.mkdtemp(prefix=f"{name}.partial-", dir=path.parent))
                os.replace(path, going / path.name)
                shutil.rmtree(going)
    except OSError as error:
        raise ModelUnusable(f"{name} can't be removed from {cache_folder()}: {error}") from error
    return freed


def is_intact(name: str) -> bool:
    """Return whether every byte of an installed model is as it was installed; reads all files."""
    return _is_whole(_folder(entry(name)), largest=None)


@contextmanager
def _locked(folder: Path, report: Progress | None = None) -> Iterator[None]:
    """Let no other process install or remove the model of a folder meanwhile."""
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        (report or _silent)(0.0, f"another process works on {folder.name}: waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _folder(model: Installable) -> Path:
    return cache_folder() / "models" / model.name


def _downloads(model: Installable) -> Path:
    return cache_folder() / "downloads" / model.name


def _is_whole(folder: Path, largest: int | None = SMALL_FILE) -> bool:
    """Compare the files with the manifest: sizes, and checksums of those up to a size."""
    try:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text())
        return manifest["layout"] == _LAYOUT and all(
            (folder / name).stat().st_size == said["bytes"]
            and (
                (largest is not None and said["bytes"] > largest)
                or checksum(folder / name) == said["sha256"]
            )
            for name, said in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False  # no manifest, no JSON, another layout


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of another if the block succeeds."""
    # Remains of a killed process; nobody else writes while the lock is held.
    for stale in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(stale, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
    try:
        yield fresh
        if folder.exists():  # damaged: `os.replace` does not replace a folder that holds files
            shutil.rmtree(folder)
        os.replace(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _disk_needed(model: Installable) -> int:
    """Return the bytes that an installation takes at its largest."""
    if packaged_file(model) is not None:
        return model.disk
    return model.disk + int(1.2 * model.bytes) - bytes_here(model, _downloads(model))


def _check_disk(model: Installable) -> None:
    needed, free = _disk_needed(model), free_disk()
    if free < needed:
        raise ModelUnusable(
            f"{model.name} needs {_gigabytes(needed)} of disk in {cache_folder()} while it is "
            f"installed, and {_gigabytes(free)} are free: free some, or set PATLM_CACHE to another "
            "folder",
            code="disk_too_small",
        )


def free_disk() -> int:
    """Return the free bytes of the disk that holds the cache."""
    folder = cache_folder()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def best_installed(dtype: str = "auto") -> Installable:
    """Return the chat model with most parameters that is installed and fits into free memory.

    Args:
        dtype: Number format of the weights, see `device.choose_dtype`.

    Raises:
        ModelNotFound: None is installed.
        ModelUnusable: None of the installed ones fits.
    """
    check_extra(
        "local",
        "no model is named, and one that is loaded here needs torch, which is not installed: name "
        "a model on a server (PATLM_MODEL=provider:model), or install",
    )
    here = [model for model in chat_models() if is_installed(model)]
    if not here:
        raise ModelNotFound(
            "no language model is installed: run `patlm models install`, which takes the best one "
            "for this machine, or name a model (PATLM_MODEL; `patlm models suggest`)",
            code="not_installed",
        )
    free = free_memory()
    for model in here:
        if _memory(model, dtype) <= free:
            _log.info("%s: %s, of %s free", AUTO, model.name, _gigabytes(free))
            return model
    needs = "; ".join(f"{m.name} needs {_gigabytes(_memory(m, dtype))}" for m in here)
    raise ModelUnusable(
        f"no installed model fits into the {_gigabytes(free)} of free memory: {needs}; free some, "
        f"run `patlm models install {SMALLEST}`, or try one by its name (PATLM_MODEL)",
        code="memory_too_small",
    )


def best_for_machine() -> Installable:
    """Return the chat model with most parameters for which memory and disk have room."""
    check_extra(
        "local",
        "language models are loaded with torch, which is not installed (the topic encoder needs "
        f"none: `patlm models install {TOPIC}`)",
    )
    memory, disk = free_memory(), free_disk()
    for model in chat_models():
        if model.room <= memory and (is_installed(model) or model.room <= disk):
            return model
    return CATALOGUE[SMALLEST]


def is_installed(model: Installable) -> bool:
    """Return whether a model can be used without a download."""
    return _is_whole(_folder(model)) or packaged_file(model) is not None


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _silent(share: float, doing: str) -> None:
    del share, doing
