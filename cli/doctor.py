"""`patlm doctor`: check that everything that a run needs is available."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer

from .options import JsonOption, StoreOption

PACKAGES = (
    "patlm",
    "langgraph",
    "langchain-core",
    "langchain-huggingface",
    "transformers",
    "torch",
    "peft",
    "sentence-transformers",
    "lancedb",
    "trl",
)


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        name: What was checked.
        ok: Whether a run can use it; None for something optional that is missing.
        says: What was found, and what to do if it is not usable.
    """

    name: str
    ok: bool | None
    says: str


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("doctor")(doctor)


def doctor(store: StoreOption = None, json: JsonOption = False) -> None:
    """Check versions, models, cache and store; exit with 1 if something is not usable."""
    from .output import emit_json, stdout

    findings = [*_versions(), *_models(), _cache(), _computer(), *_adapters(), *_store(store)]
    broken = [finding for finding in findings if finding.ok is False]
    if json:
        emit_json({"ok": not broken, "findings": [asdict(finding) for finding in findings]})
    else:
        marks = {True: "[green]ok[/green]  ", False: "[red]bad[/red] ", None: "[dim]--[/dim]  "}
        for finding in findings:
            stdout.print(f"{marks[finding.ok]}{finding.name:<24} {finding.says}")
    if broken:
        raise typer.Exit(1)


def _versions() -> list[Finding]:
    findings = [Finding("python", True, platform.python_version())]
    for package in PACKAGES:
        try:
            findings.append(Finding(package, True, version(package)))
        except PackageNotFoundError:
            optional = package == "trl"
            how = (
                "needed for training only: pip install 'patlm[train]'"
                if optional
                else "pip install"
            )
            findings.append(Finding(package, None if optional else False, f"missing; {how}"))
    return findings


def _models() -> list[Finding]:
    from ..models.catalogue import TOPIC
    from ..models.installed import is_intact, listed

    findings = []
    for model in listed():
        get = f"`patlm models install {model.name}`"
        if model.installed == "no":
            missing = Finding(model.name, None, f"not installed: {get}")
            findings.append(replace(missing, ok=False) if model.name == TOPIC else missing)
        elif model.installed == "damaged" or (
            model.installed == "yes" and not is_intact(model.name)
        ):
            findings.append(Finding(model.name, False, f"damaged: {get} replaces it"))
        else:
            findings.append(Finding(model.name, True, f"{model.bytes / 1e6:,.0f} MB, {model.path}"))
    return [*findings, _named_model()]


def _named_model() -> Finding:
    from ..graph.settings import Settings
    from ..models.device import free_memory
    from ..models.errors import ModelError
    from ..models.open import provider_of, resolved_name

    settings = Settings()
    name = settings.model
    try:
        kind = provider_of(name).name
        chosen = resolved_name(name, settings.dtype)
    except ModelError as error:
        return Finding("PATLM_MODEL", False, str(error))
    if chosen == name:
        return Finding("PATLM_MODEL", True, f"{name} ({kind})")
    free = f"{free_memory() / 1e9:.1f} GB of free memory"
    return Finding(
        "PATLM_MODEL", True, f"{name}: {chosen}, the best installed that fits into {free}"
    )


def _cache() -> Finding:
    from ..models.installed import cache_folder, folder_size

    folder = cache_folder()
    size = folder_size(folder) if folder.exists() else 0
    return Finding("cache", True, f"{folder}, {size / 1e6:.0f} MB")


def _computer() -> Finding:
    import torch

    from ..models.device import choose_device, choose_dtype, dtype_name

    device = choose_device()
    dtype = dtype_name(choose_dtype("auto", device))
    return Finding("computer", True, f"{device}, {torch.get_num_threads()} threads, {dtype}")


def _adapters() -> list[Finding]:
    from ..graph.settings import Settings, adapters_folder
    from ..stores.adapters.registry import AdapterRegistry
    from ..stores.errors import StoreError

    folder = adapters_folder(Settings().adapters)
    try:
        registry = AdapterRegistry(folder)
        promoted = registry.promoted()
    except (StoreError, OSError) as error:
        return [Finding("adapters", False, " ".join(str(error).split()))]
    if not promoted:
        return [Finding("adapters", True, f"none promoted in {folder}: the base model is used")]
    findings = []
    for role, name in promoted.items():
        try:
            base = registry.get(name).manifest.base
        except StoreError as error:
            findings.append(Finding(f"{role} adapter", False, " ".join(str(error).split())))
        else:
            says = f"{name} of {folder}, used if the model's fingerprint is {base}"
            findings.append(Finding(f"{role} adapter", True, says))
    return findings


def _store(uri: str | None) -> list[Finding]:
    from ..graph.graph_artefact import GRAPH, about_graph
    from ..graph.open import look_into_store
    from ..models.errors import ModelError
    from ..stores.errors import StoreError

    async def main() -> dict[str, Any]:
        async with look_into_store(uri) as opened:
            graph = about_graph(await opened.artefact(GRAPH), "default")
            return {**(await opened.stats()).as_dict(), "graph": graph}

    name = "store" if uri else "sample store"
    try:
        found = _run(main)
    except (StoreError, ModelError, OSError) as error:
        return [Finding(name, False, " ".join(str(error).split()))]
    says = (
        f"{found['texts']:,} texts of {found['users']:,} users on {found['topics']:,} topics, "
        f"{found['fragments']} fragments, {found['bytes'] / 1e6:.1f} MB, "
        f"{len(found['indexes'])} indexes"
    )
    graph = found["graph"]
    serves = f"the {graph['serves'].replace('_', '-')} form serves: {graph['why']}"
    encoder = Finding("style encoder", True, found["style_encoder"])
    return [Finding(name, True, says), encoder, Finding("graph", True, serves)]


def _run(main: Callable[[], Any]) -> dict[str, Any]:
    result: dict[str, Any] = asyncio.run(main())
    return result
