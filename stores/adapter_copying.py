"""Copy an adapter into a folder of its own: weights, the people who trained it, the manifest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from .adapter_checks import check_files, check_shape, checksum
from .adapter_errors import AdapterDamaged
from .adapter_manifest import FILES, MANIFEST, PEOPLE, Manifest
from .adapter_people import write_people


def copy_adapter(
    folder: Path, place: Path, manifest: Manifest, people: Iterable[str] | None
) -> Manifest:
    """Fill a new folder with an adapter's files and its manifest, and check what was written.

    Args:
        folder: What PEFT's `save_pretrained` wrote.
        place: Made here.
        manifest: Checksums that it holds are compared.
        people: Keys of those whose texts trained it; None: not known.

    Returns:
        The manifest with the checksums of all files.

    Raises:
        AdapterDamaged: A file is missing, can't be read, or differs from its checksum.
        AdapterUnfit: It can't share a batch with other adapters.
        ValueError: One of the people is no key.
    """
    place.mkdir()
    for file in FILES:
        if not (folder / file).is_file():
            raise AdapterDamaged(
                f"adapter {manifest.name}: expected {' and '.join(FILES)} in {folder}, {file} is "
                "missing: save it by PEFT's `save_pretrained`"
            )
        shutil.copyfile(folder / file, place / file)
        _flush(place / file)
    if people is not None:
        write_people(place / PEOPLE, people)
        _flush(place / PEOPLE)
    kept = FILES if people is None else (*FILES, PEOPLE)
    files = {file: checksum(manifest.name, place / file) for file in kept}
    check_files(manifest.name, place, {**files, **manifest.files})
    check_shape(manifest.name, place)
    text = manifest.model_copy(update={"files": files}).model_dump_json(indent=1)
    (place / MANIFEST).write_text(text, encoding="utf-8")
    _flush(place / MANIFEST)
    return Manifest.model_validate_json(text)


def _flush(path: Path) -> None:
    """Have a file on the disk before the rename that makes it visible."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
