"""`patlm adapters`: list, show, promote, roll back and remove adapters."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from .options import JsonOption
from .output import emit_json, errors_as_lines, stdout, warn

if TYPE_CHECKING:
    from ..stores.adapters.folders import Adapter
    from ..stores.adapters.registry import AdapterRegistry

app = typer.Typer(help="Manage the trained adapters of each role.", no_args_is_help=True)

AdaptersOption = Annotated[
    Path | None,
    typer.Option(
        "--adapters",
        envvar="PATLM_ADAPTERS",
        help="Folder of the adapters. Default: patlm/adapters in the user's data folder.",
        show_default=False,
    ),
]
_LISTED = {
    "role", "step", "base", "base_name", "data", "task", "method", "parent", "metrics", "created"
}  # fmt: skip

NameArgument = Annotated[str, typer.Argument(help="Adapter name, role@step, such as style@3.")]


@app.command("list")
def list_adapters(adapters: AdaptersOption = None, json: JsonOption = False) -> None:
    """List all adapters by role and step, and which are promoted."""
    with errors_as_lines():
        registry = _open(adapters)
        kept = registry.adapters(report=lambda error: warn(str(error)))
        used = registry.promoted()
    if json:
        emit_json({"adapters": [_row(adapter, used) for adapter in kept]})
        return
    if not kept:
        stdout.print(f"no adapters in {escape(str(registry.root))}")
    for adapter in kept:
        mark = "[green]promoted[/green]" if used.get(adapter.role) == adapter.name else " " * 8
        parent = f", from {escape(adapter.manifest.parent)}" if adapter.manifest.parent else ""
        made = f"{adapter.manifest.created:%Y-%m-%d %H:%M}"
        stdout.print(
            f"{adapter.name:<16} {mark}  {made}  for {escape(adapter.manifest.base_name)}{parent}"
        )


@app.command("show")
def show_adapter(
    name: NameArgument, adapters: AdaptersOption = None, json: JsonOption = False
) -> None:
    """Check one adapter and show its manifest, its ancestors and how many people trained it."""
    with errors_as_lines():
        registry = _open(adapters)
        adapter = registry.get(name)
        used = registry.promoted()
        chain = registry.chain(name)
        people = registry.people().get(name)
    row = {**_row(adapter, used), **adapter.manifest.model_dump(mode="json")}
    row |= {"chain": list(chain.names), "missing": chain.missing}
    row |= {"people": None if people is None else len(people), "path": str(adapter.path)}
    if json:
        emit_json(row)
        return
    row["people"] = "not recorded" if people is None else f"{len(people):,}"
    for key, value in row.items():
        stdout.print(f"{key.replace('_', ' '):>14}  {escape(_say(value))}")


@app.command("promote")
def promote_adapter(
    name: NameArgument, adapters: AdaptersOption = None, json: JsonOption = False
) -> None:
    """Use an adapter for its role from the next request on."""
    from ..stores.adapters.manifest import parse_name

    with errors_as_lines():
        registry = _open(adapters)
        role, _ = parse_name(name)
        before = registry.promoted().get(role)
        registry.promote(name)
        _warn_of_other_bases(registry, name)
    _tell(role, before, name, json)


@app.command("rollback")
def rollback_role(
    role: Annotated[str, typer.Argument(help="style, preference or integrate.")],
    adapters: AdaptersOption = None,
    json: JsonOption = False,
) -> None:
    """Return a role to its previous adapter, or to the base model."""
    from ..stores.errors import AdapterError

    with errors_as_lines():
        registry = _open(adapters)
        before = registry.promoted().get(role)
        now = registry.rollback(role)
        try:
            if now is not None:
                registry.get(now)
        except AdapterError as error:  # still rolled back: nobody should be stuck with the bad one
            warn(str(error))
    _tell(role, before, now, json)


@app.command("prune")
def prune_adapters(
    keep: Annotated[
        int, typer.Option(min=1, help="Number of latest adapters to keep per role.")
    ] = 3,
    adapters: AdaptersOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be removed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Remove old adapters; promoted ones, the next rollback targets and their ancestors stay."""
    with errors_as_lines():
        pruned = _open(adapters).prune(keep, dry_run=dry_run)
    if json:
        emit_json({"dry_run": dry_run, **asdict(pruned)})
        return
    for name, why in pruned.kept.items():
        stdout.print(f"{name:<16} stays: {why}")
    verb = "would be removed" if dry_run else "removed"
    for name in pruned.removed:
        stdout.print(f"{name:<16} {verb}")
    stdout.print(f"{len(pruned.removed)} adapters, {pruned.bytes / 1e6:.1f} MB {verb}")


def _open(folder: Path | None) -> AdapterRegistry:
    from ..graph.settings import adapters_folder
    from ..stores.adapters.registry import AdapterRegistry

    return AdapterRegistry(adapters_folder(folder))


def _warn_of_other_bases(registry: AdapterRegistry, name: str) -> None:
    """Warn if promoted adapters are for several base models: one model cannot serve them all."""
    kept = {adapter.name: adapter.manifest for adapter in registry.adapters()}
    for other in registry.promoted().values():
        if other in kept and kept[other].base != kept[name].base:
            warn(
                f"{name} was made for {kept[name].base_name} ({kept[name].base}), and {other}, "
                f"also promoted, for {kept[other].base_name} ({kept[other].base}): a model that "
                "serves both roles ignores the one that does not fit it"
            )


def _row(adapter: Adapter, used: dict[str, str]) -> dict[str, Any]:
    shown = adapter.manifest.model_dump(mode="json", include=_LISTED)
    promoted = used.get(adapter.role) == adapter.name
    return {"name": adapter.name, **shown, "promoted": promoted}


def _say(value: object) -> str:
    if value in (None, [], {}):
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _tell(role: str, before: str | None, now: str | None, as_json: bool) -> None:
    if as_json:
        emit_json({"role": role, "promoted": now, "before": before})
        return
    was = f" (before: {before})" if before not in (None, now) else ""
    stdout.print(f"{role}: {now or 'the base model'}{was}")
