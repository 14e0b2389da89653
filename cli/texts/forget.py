"""`patlm forget`: remove a person, with proof."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...stores.errors import shortened
from ..adapters import AdaptersOption
from ..options import JsonOption, NamespaceOption, NeededStoreOption, TraceOption

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...stores.adapters.registry import AdapterRegistry
    from ...stores.types import Receipt


EpisodesOption = Annotated[
    list[Path] | None,
    typer.Option("--episodes", metavar="<path>", help="Folder of collected episodes; repeatable."),
]
CopiesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--copies",
        metavar="<path>",
        help="Another file or folder that texts were copied to; repeatable.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("forget")(forget)


def forget(
    user: Annotated[str, typer.Option(help="Id of the person to forget.", show_default=False)],
    store: NeededStoreOption,
    namespace: NamespaceOption = "default",
    trace: TraceOption = None,
    episodes: EpisodesOption = None,
    copies: CopiesOption = None,
    adapters: AdaptersOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Remove USER from the store and all known copies, down to the bytes in the files.

    Names what stays: adapters trained on USER's texts, and what is out of reach. Exits with 1 if
    there is no such user.
    """
    from ...graph.forget import Places, forget_user
    from ...graph.open import look_into_store
    from ...graph.settings import adapters_folder
    from ..output import emit_json, fail, run

    folder = adapters_folder(adapters)
    places = Places(store, Path(trace) if trace else None, episodes or (), folder, copies or ())

    async def main() -> Receipt:
        async with look_into_store(store) as opened:
            return await forget_user(opened, namespace, user, places, dry_run=dry_run)

    receipt = run(main)
    if json:
        emit_json(receipt.as_dict())
    if not receipt.found:
        fail(f"{say_nobody(receipt.user_id, namespace, receipt.near_ids)}; nothing was removed")
    if not json:
        show_receipt(receipt, folder)


def say_nobody(user_id: str, namespace: str, near_ids: Sequence[str]) -> str:
    """Return the message for a user who is not in a store."""
    near = f"; similar ids there: {', '.join(map(shortened, near_ids))}" if near_ids else ""
    return f"no user {shortened(user_id)} in namespace {shortened(namespace)} of this store{near}"


def show_receipt(receipt: Receipt, folder: Path) -> None:
    """Print what was removed, and which adapters learned from it.

    Args:
        receipt: What the removal returned.
        folder: The adapters.
    """
    from ..output import errors_as_lines, stdout

    with errors_as_lines():
        for line in chain(_what_went(receipt), _what_stays(receipt, folder)):
            stdout.print(line, markup=False)


def _what_went(receipt: Receipt) -> Iterator[str]:
    verb = "would be removed" if receipt.dry_run else "removed"
    counts = ", ".join(f"{count:,} {kind}" for kind, count in receipt.removed.items())
    yield f"{receipt.user_id}: {counts} {verb} in {receipt.seconds:.2f} s"
    if receipt.bytes_found_after is not None and receipt.pieces:
        yield (
            f"proof: of {receipt.pieces:,} pieces of the texts the store's files contained "
            f"{receipt.bytes_found_before:,} before and contain {receipt.bytes_found_after:,} now"
        )
    elif receipt.bytes_found_after is None and not receipt.dry_run:
        yield "no proof: the files of an object store cannot be searched"


def _what_stays(receipt: Receipt, folder: Path) -> Iterator[str]:
    """Name the adapters that learned from the person, what can be done, and what else stays."""
    from ...stores.adapters.registry import AdapterRegistry

    for place in receipt.copies:
        yield f"{'to be changed' if receipt.dry_run else 'changed'}: {place}"
    for each in receipt.left:
        yield f"stays: {each}"

    if receipt.adapters:
        yield f"trained on texts of {receipt.user_id}: {', '.join(receipt.adapters)}"
        yield (
            "nothing can be removed from weights: train other adapters on episodes without this "
            f"person, not with these as parents, and delete the folders of these in {folder}"
        )
    registry = AdapterRegistry(folder)
    for name in registry.promoted().values():
        if name in receipt.adapters:
            yield f"{name} is in use: {_way_out(name, receipt, registry)}"
    if receipt.adapters_without_record:
        names = ", ".join(receipt.adapters_without_record)
        yield f"it is not recorded whose texts trained {names}"


def _way_out(name: str, receipt: Receipt, registry: AdapterRegistry) -> str:
    """Return the command that replaces an adapter by the latest one without the person."""
    kept = {adapter.name: adapter for adapter in registry.adapters()}
    here = kept.get(name)
    others = [
        other.name
        for other in kept.values()
        if other.name not in (*receipt.adapters, *receipt.adapters_without_record)
        and here is not None
        and (other.role, other.manifest.base) == (here.role, here.manifest.base)
    ]
    if others:
        return f"`patlm adapters promote {others[-1]}` replaces it by one that is not among them"
    return f"`patlm adapters rollback {name.partition('@')[0]}` until the base model is used"
