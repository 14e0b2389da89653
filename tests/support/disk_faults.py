"""Run every command on a disk that is full, can't be written, or has a damaged file.

`python disk_faults.py FOLDER FAULT SEED` mounts a small file system in a name space of its own,
copies a folder of `command_folder` to it for each run, and prints a line of JSON for each.
"""

import asyncio
import ctypes
import json
import logging
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from commands import WORDS, commands
from fakes import ScriptedChat
from patlm.stores.texts.store import TextStore
from processes import call
from store_fixtures import TEXTS, cheap_encoders, text

MEGABYTES = 96
FREE = (0, 30_000, 300_000)
"""Bytes that are left of a full disk."""
DAMAGES_PER_COMMAND = 5


def command_folder(folder: Path) -> Path:
    """Make a folder in which every command of `commands.WORDS` starts its work."""
    from adapter_fixtures import manifest, random_adapter
    from episode_fixtures import FOUR, collected
    from patlm.graph import Personalizer
    from patlm.graph import open as opening
    from patlm.stores.adapters.registry import AdapterRegistry
    from patlm.stores.episodes.shards import EpisodeWriter
    from planted import write_planted
    from planted_episodes import planted_episodes, save_base, write_episodes
    from report_results import results
    from report_results import write as write_results

    folder.mkdir()
    write_planted(folder / "data.jsonl", people=24)
    write_planted(folder / "more.jsonl", people=4)
    (folder / "edited.txt").write_text("By the sea, once more.")
    EpisodeWriter(folder / "E0").append(collected(*FOUR))
    save_base(folder / "base")
    write_episodes(folder / "episodes", planted_episodes(8))
    write_results(folder / "R0", results())
    registry = AdapterRegistry(folder / "A")
    trained = random_adapter(folder / "made", seed=1)
    for name in ("style@1", "style@2", "style@3"):
        registry.add(trained, manifest(name), trained_on=())
    registry.promote("style@1")
    registry.promote("style@3")

    async def fill() -> str:
        opening.open_encoders = cheap_encoders
        async with Personalizer(
            folder / "S", model=ScriptedChat(), trace=folder / "T", share=True
        ) as app:
            store = await app._store()
            await store.add(
                [*TEXTS, *(text(f"u{n}", "lamp", f"Lamp {n}, fine.") for n in range(9))]
            )
            await app.add_many(
                [{"user_id": who, "body": f"By the sea, {who}.", "topic_id": "lamp",
                  "source_id": f"{who[0]}-1"} for who in ("bo", "cy")]
            )  # fmt: skip
            await app.add_many([{"user_id": "ana", "body": "Mine.", "source_id": "b-1"}])
            return (await app.awrite("ana", title="Lamp", topic_id="lamp", max_iterations=1)).run_id

    run = asyncio.run(fill())
    (folder / "run.txt").write_text(run)
    return folder


def words_for(command: str, folder: Path) -> list[str]:
    """Return the words of a call, with the run's id."""
    run = (folder / "run.txt").read_text()
    return [*command.split(), *(run if word == "RUN" else word for word in WORDS[command].split())]


# Faults.

_NEW_MOUNTS, _NEW_USER, _READ_ONLY, _REMOUNT, _PRIVATE = 0x20000, 0x10000000, 1, 32, 0x44000
_DETACH = 2


def own_mounts() -> None:
    """Let what this process mounts be seen by no other one.

    Raises:
        PermissionError: This system does not allow it.
    """
    system = ctypes.CDLL(None, use_errno=True)
    if system.unshare(_NEW_MOUNTS) and system.unshare(_NEW_USER | _NEW_MOUNTS):
        raise PermissionError("no mounts of one's own here")
    system.mount(b"none", b"/", None, _PRIVATE, None)


def mount(place: Path) -> None:
    """Mount an empty file system in memory, in place of the one that is there.

    Raises:
        PermissionError: This system does not allow it.
    """
    system = ctypes.CDLL(None, use_errno=True)
    system.umount2(str(place).encode(), _DETACH)
    size = f"size={MEGABYTES}m".encode()
    if system.mount(b"none", str(place).encode(), b"tmpfs", 0, size):
        raise PermissionError("no mounts of one's own here")


def make_read_only(place: Path, read_only: bool) -> None:
    """Let the file system take no more writes, or let it take them again."""
    flags = _REMOUNT | (_READ_ONLY if read_only else 0)
    if ctypes.CDLL(None, use_errno=True).mount(b"none", str(place).encode(), None, flags, None):
        raise OSError(ctypes.get_errno(), "remount")


def fill_up(place: Path, free: int) -> Path:
    """Leave so many bytes of the file system free; returns the file that takes the others."""
    state = os.statvfs(place)
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_bsize - free))
    return ballast


def cut(data: bytes) -> bytes:
    """Return the first half."""
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    """Return the data with a hundredth of the bytes changed."""
    chosen, changed = random.Random(0), bytearray(data)
    for _ in range(len(data) // 100 + 4):
        changed[chosen.randrange(len(data))] ^= 0xFF
    return bytes(changed)


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "cut": cut,
    "deleted": lambda data: None,
    "emptied": lambda data: b"",
    "zeroed": lambda data: bytes(len(data)),
    "flipped": flip,
}


def damage(path: Path, how: str) -> None:
    """Damage a file, or remove it."""
    changed = DAMAGES[how](path.read_bytes())
    if changed is None:
        path.unlink()
    else:
        path.write_bytes(changed)


# Runs.


async def bodies(store: Path) -> set[str]:
    """Return all texts of all people of a store but the one that commands remove."""
    async with TextStore.open_existing(str(store)) as held:
        people = ("ann", "bob", "cat", "dan", "eve", "cy", *(f"u{n}" for n in range(9)))
        found = [await held.texts_of("default", who) for who in people]
    return {each.body for texts in found for each in texts}


class Runs:
    """Runs commands on copies of a folder on a file system of its own."""

    def __init__(self, whole: Path, place: Path) -> None:
        self.whole, self.place, self.here = whole, place, place / "here"
        self.expected = asyncio.run(bodies(whole / "S"))

    def fresh(self) -> Path:
        """Return a new copy; the commands' temporary files, caches and lists go there, too."""
        os.chdir("/")
        mount(self.place)
        shutil.copytree(self.whole, self.here)
        (self.here / "tmp").mkdir()
        os.chdir(self.here)
        return self.here

    def run(self, command: str, fault: str, heal: Callable[[], None]) -> None:
        """Run a command under a fault that is there; print what came of it."""
        result = call(*words_for(command, self.whole))
        heal()
        said = [line for line in result.stderr.splitlines() if line.startswith("patlm: ")]
        own = command in (
            "doctor",
            "bench soak",
            "episodes check",
        )
        lines = (0, 1) if own else (1,)
        told = isinstance(result.exception, SystemExit) and len(said) in lines
        clean = result.exit_code == 0 or (result.exit_code in (1, 2) and told)
        lost = len(self.expected - asyncio.run(bodies(self.here / "S")))
        about = {
            "command": command,
            "fault": fault,
            "code": result.exit_code,
            "clean": clean and "Traceback" not in result.output,
            "said": said[:1] if clean else [repr(result.exception), result.output[-2_000:]],
            "lost": lost,
        }
        sys.stdout.write(f"{json.dumps(about)}\n")
        sys.stdout.flush()


def full(runs: Runs, command: str) -> None:
    """Run a command on a disk that has no room, little, or some."""
    for free in FREE:
        runs.fresh()
        ballast = fill_up(runs.place, free)
        runs.run(command, f"full, {free} bytes free", ballast.unlink)


def read_only(runs: Runs, command: str) -> None:
    """Run a command where nothing can be written."""
    runs.fresh()
    make_read_only(runs.place, True)
    runs.run(command, "read-only", lambda: make_read_only(runs.place, False))


def damaged(runs: Runs, command: str, draw: random.Random) -> None:
    """Run a command on data of which one file is damaged; the file is put back afterwards."""
    names = [word for word in words_for(command, runs.whole) if (runs.whole / word).exists()]
    for name in names:
        found = [
            each
            for each in (runs.whole / name).rglob("*")
            if each.is_file() and each.stat().st_size
        ]
        found = found or [runs.whole / name]
        for path in draw.sample(found, min(len(found), DAMAGES_PER_COMMAND)):
            how = draw.choice(list(DAMAGES))
            place = runs.fresh() / path.relative_to(runs.whole)
            damage(place, how)

            def put_back(path: Path = path, place: Path = place) -> None:
                if place.parent.is_dir():
                    shutil.copyfile(path, place)

            runs.run(command, f"{how}: {path.relative_to(runs.whole)}", put_back)


def main(whole: Path, fault: str, seed: int) -> None:
    """Run all commands under a kind of fault."""
    from patlm.graph import open as opening

    opening.open_encoders = cheap_encoders
    place = whole.parent / "mount"
    place.mkdir(exist_ok=True)
    try:
        own_mounts()
        mount(place)
    except PermissionError as error:
        sys.stdout.write(json.dumps({"skipped": str(error)}) + "\n")
        return
    runs = Runs(whole, place)
    # A library's handler may still write to the closed output of an earlier run.
    logging.raiseExceptions = False
    home = {f"XDG_{name}_HOME": f"home/{name}" for name in ("CACHE", "DATA", "STATE", "CONFIG")}
    there = {"TMPDIR": "tmp", "HOME": "home", "PATLM_CACHE": "home/patlm", **home}
    os.environ |= {name: str(runs.here / path) for name, path in there.items()}
    os.environ["PATLM_COPIES"] = str(runs.here / "home/copies.jsonl")
    draw = random.Random(seed)
    for command, _ in commands():
        if fault == "full":
            full(runs, command)
        elif fault == "none":
            runs.fresh()
            runs.run(command, fault, lambda: None)
        elif fault == "read-only":
            read_only(runs, command)
        else:
            damaged(runs, command, draw)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
