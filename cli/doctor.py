"""`patlm doctor`: check that everything that a run needs is available."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from ..models.answers import LEFT_OUT
from .options import BaseUrlOption, JsonOption, ModelOption, StoreOption

if TYPE_CHECKING:
    from ..graph.settings import Settings

ASK = "Answer with one word: which colour is the sky?"

SECONDS_TO_ANSWER = 20.0

TOKENS_TO_REASON = 64

PACKAGES = ("patlm", "langgraph", "langchain-core", "lancedb", "numpy", "tokenizers")
"""Packages of the core; those of the extras are in `models.extras`."""


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


def doctor(
    store: StoreOption = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    json: JsonOption = False,
) -> None:
    """Check versions, models, cache and store; exit with 1 if something is not usable.

    A model on a server is asked for one token.
    """
    from ..graph.settings import Settings
    from .output import emit_json, errors_as_lines, stdout

    given: dict[str, Any] = {"model": model, "base_url": base_url}
    with errors_as_lines():  # a setting that does not exist
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    named = named_models(settings)
    findings = [
        *_versions(),
        *_models(),
        *named,
        _budget(settings),
        _tracing(settings),
        *guard_findings(settings),
        _sizes(settings),
        _authors(settings),
    ]
    findings += [_cache(), _computer()]
    findings += [*_adapters(), *_store(store)]
    broken = [finding for finding in findings if finding.ok is False]
    if json:
        emit_json({"ok": not broken, "findings": [asdict(finding) for finding in findings]})
    else:
        marks = {True: "[green]ok[/green]  ", False: "[red]bad[/red] ", None: "[dim]--[/dim]  "}
        for finding in findings:
            stdout.print(f"{marks[finding.ok]}{escape(f'{finding.name:<24} {finding.says}')}")
    if broken:
        raise typer.Exit(1)


def _versions() -> list[Finding]:
    from ..models.extras import EXTRAS

    findings = [Finding("python", True, platform.python_version())]
    for package in PACKAGES:
        try:
            findings.append(Finding(package, True, version(package)))
        except PackageNotFoundError:
            findings.append(Finding(package, False, "missing; pip install"))
    known = packages_distributions()  # seconds, where much is installed
    return [*findings, *(_extra(extra, known) for extra in EXTRAS)]


def _extra(extra: str, known: Mapping[str, list[str]]) -> Finding:
    from ..models.extras import EXTRAS, has_extra

    if has_extra(extra):
        names = (name for package in EXTRAS[extra] for name in known.get(package, []))
        versions = ", ".join(f"{name} {version(name)}" for name in dict.fromkeys(names))
        return Finding(f"extra [{extra}]", True, versions)
    return Finding(f"extra [{extra}]", None, f"not installed: pip install 'patlm[{extra}]'")


def _models() -> list[Finding]:
    from ..graph.settings import Settings
    from ..models.catalogue import TOPIC
    from ..models.installed import is_intact, listed

    findings = []
    for model in listed():
        get = f"`patlm models install {model.name}`"
        if model.installed == "no":
            missing = Finding(model.name, None, f"not installed: {get}")
            needed = model.name == TOPIC and Settings().encoder == "bundled"
            findings.append(replace(missing, ok=False) if needed else missing)
        elif model.installed == "damaged" or (
            model.installed == "yes" and not is_intact(model.name)
        ):
            findings.append(Finding(model.name, False, f"damaged: {get} replaces it"))
        else:
            findings.append(Finding(model.name, True, f"{model.bytes / 1e6:,.0f} MB, {model.path}"))
    return findings


def named_models(settings: Settings) -> list[Finding]:
    """Check each model that the settings name, once."""
    from ..graph.settings import ROLES

    names: dict[Settings, str] = {}
    for role in ROLES:
        own = getattr(settings, f"model_{role}") is not None
        variable = f"PATLM_MODEL_{role.upper()}" if own else "PATLM_MODEL"
        names.setdefault(settings.for_role(role), variable)
    return [_named_model(name, wanted) for wanted, name in names.items()]


def _named_model(variable: str, settings: Settings) -> Finding:
    from ..models.device import free_memory
    from ..models.errors import ModelError
    from ..models.open import provider_of, resolved_name

    name = settings.model
    try:
        provider = provider_of(name)
        if provider.takes_base_url:
            return Finding(variable, True, _ask_server(name, settings.base_url))
        chosen = resolved_name(name, settings.dtype)
        provider.check(chosen)
    except ModelError as error:
        return Finding(variable, False, " ".join(str(error).split()))
    if chosen == name:
        return Finding(variable, True, f"{name} ({provider.name})")
    free = f"{free_memory() / 1e9:.1f} GB of free memory"
    return Finding(variable, True, f"{name}: {chosen}, the best installed that fits into {free}")


def _ask_server(name: str, base_url: str | None) -> str:
    """Ask a server's model for one token, and say how it answered.

    Raises:
        ModelError: It did not.
    """
    from ..models.errors import CallRefused
    from ..models.open import open_chat_model
    from ..models.remote.chat_model import RemoteChatModel
    from ..models.remote.retries import RemoteLimits

    limits = RemoteLimits(attempts=1, timeout_s=SECONDS_TO_ANSWER)
    model = open_chat_model(name, base_url=base_url, limits=limits)
    assert isinstance(model, RemoteChatModel)  # what providers with a base URL open
    try:
        begun = time.perf_counter()
        try:
            answer = model.invoke(ASK, max_tokens=1)
        except CallRefused as refusal:
            if "max_tokens" not in str(refusal) and "output" not in str(refusal):
                raise
            # Reasoning models want room for their reasoning.
            answer = model.invoke(ASK, max_tokens=TOKENS_TO_REASON)
        seconds = time.perf_counter() - begun
        window = f"{model.window:,} tokens" if model.window else "unknown"
    finally:
        model.close()
    says = f"{model.server}: one token in {seconds:.2f} s, window {window}"
    left_out = answer.response_metadata.get(LEFT_OUT) or {}
    return says + "".join(f"; without {option} ({why})" for option, why in left_out.items())


def _budget(settings: Settings) -> Finding:
    """Say which budget the models of the settings get; nothing is loaded."""
    from ..graph.settings import ROLES
    from ..models.catalogue import chat_models
    from ..models.device import choose_device
    from ..models.errors import ModelError
    from ..models.open import provider_of, resolved_name
    from ..nodes.budget import AUTO, BUDGETS, KnownModel, choose_budget
    from ..nodes.errors import LoopError
    from ..nodes.prompts.files import prompt_set

    sizes, known = {model.name: model.parameters for model in chat_models()}, []
    try:
        for budget in BUDGETS.values():
            prompt_set(budget.prompts, settings.prompts)
        for wanted in {settings.for_role(role) for role in ROLES}:
            name = resolved_name(wanted.model, wanted.dtype)
            if settings.budget == AUTO and provider_of(wanted.model).name == "local":
                says = f"{AUTO}: by the size of {name}, when it is loaded"
                return Finding("PATLM_BUDGET", True, says)
            known.append(KnownModel(sizes.get(name), choose_device() if name in sizes else None))
    except ModelError:  # told above
        return Finding("PATLM_BUDGET", None, f"{settings.budget}: the model is not known")
    except LoopError as error:
        return Finding("PATLM_PROMPTS", False, " ".join(str(error).split()))
    budget = choose_budget(settings.budget, known)
    chosen = f"{AUTO}: {budget.name}" if settings.budget == AUTO else budget.name
    says = f"{chosen}, prompts of {budget.first:,} tokens, {budget.k} texts per side"
    return Finding("PATLM_BUDGET", True, says)


def _tracing(settings: Settings) -> Finding:
    """Say what LangSmith is sent of a run."""
    from ..models.tracing import SENT, switched_on

    variable = switched_on(os.environ)
    wish = "LangSmith's tracing is not switched on" if variable is None else f"{variable} is true"
    return Finding("PATLM_TRACING", True, f"{settings.tracing}: {SENT[settings.tracing]}; {wish}")


def guard_findings(settings: Settings) -> list[Finding]:
    """Say what of other people's texts is replaced, and may not be repeated."""
    from ..nodes.guards.personal_data import KINDS

    kinds, words = settings.guards.personal_data, settings.copied_words
    labels = ", ".join(kind.label for kind in KINDS.values() if kind.name in kinds)
    replaced = f"replaced in other people's texts: {labels or 'nothing'}"
    copied = f"a draft has no {words} words in a row of theirs" if words else "drafts may copy"
    return [
        Finding("PATLM_PERSONAL_DATA", True, f"{settings.personal_data}: {replaced}"),
        Finding("PATLM_COPIED_WORDS", True, f"{words}: {copied}"),
    ]


def _sizes(settings: Settings) -> Finding:
    """Say how large what is sent may be."""
    limits = {name: most for name, most in settings.model_dump().items() if name.startswith("max_")}
    says = ", ".join(f"{name.removeprefix('max_')} {most:,}" for name, most in limits.items())
    return Finding("sizes", True, says)


def _authors(settings: Settings) -> Finding:
    """Say how many people a preference needs."""
    says = f"{settings.min_authors}: a preference of fewer authors abstains"
    return Finding("PATLM_MIN_AUTHORS", True, says)


def _cache() -> Finding:
    from ..models.installed import cache_folder, folder_size

    folder = cache_folder()
    size = folder_size(folder) if folder.exists() else 0
    return Finding("cache", True, f"{folder}, {size / 1e6:.0f} MB")


def _computer() -> Finding:
    from ..models.extras import has_extra

    if not has_extra("local"):
        return Finding("computer", True, f"{os.cpu_count()} CPUs; models are loaded elsewhere")
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
            unfinished = await opened.unfinished()
            return {**(await opened.stats()).as_dict(), "graph": graph, "unfinished": unfinished}

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
    findings = [Finding(name, True, says), encoder, Finding("graph", True, serves)]
    if found["unfinished"]:
        findings.append(Finding("forgetting", False, found["unfinished"]))
    return findings


def _run(main: Callable[[], Any]) -> dict[str, Any]:
    result: dict[str, Any] = asyncio.run(main())
    return result
