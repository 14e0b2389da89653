"""What tests of collecting share: targets, a model whose samples follow from their seeds."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakes import Asked, ScriptedChat
from loop_parts import ROLES, parts_of
from patlm.evaluation.targets import Target, targets_of
from patlm.nodes.dependencies import ChatRole, Parts
from patlm.stores import Text
from patlm.stores.datasets.splits import Splits
from patlm.stores.episodes.schema import Episode
from patlm.stores.episodes.shards import read_episodes
from patlm.training.collect.collector import Collector
from patlm.training.collect.plan import CollectPlan, CollectReport, CollectSource
from patlm.training.collect.run import gather_episodes

SOURCE = CollectSource(split="s" * 12, store="t" * 12, made_of="a test")
GREEDY = {"temperature": 0.0, "no_repeat_ngram_size": 4}


def some_targets(count: int) -> list[Target]:
    """Return targets of as many people, in the order of their hashes."""
    texts = [
        Text(f"u{n}", f"The view of bay {n} is grand.", "sea", title=f"Bay {n}", target=True)
        for n in range(count)
    ]
    return targets_of("bays", texts, "long", splits=Splits())


def drawing_model(**given: Any) -> ScriptedChat:
    """Return a model whose drawn summaries name their seeds, and whose drafts name summaries."""

    def summary(asked: Asked) -> str:
        drawn = asked.options.get("seed")
        later = " later" if "Draft so far" in asked.user else ""
        return f"{asked.role} greedy{later}" if drawn is None else f"{asked.role} {drawn}"

    def draft(asked: Asked) -> str:
        quoted = asked.user.split('"""')[1::2]
        return f"Grand view, {' and '.join(quoted)}"

    says = {"style": summary, "preference": summary, "integrate": draft}
    return ScriptedChat(**{"says": says, **given})


def parts_with(model: ScriptedChat, **given: Any) -> Parts:
    """Return parts whose model decodes greedily unless it is told otherwise."""
    chat = {role: ChatRole(model, f"{role}-model", options=GREEDY) for role in ROLES}
    return parts_of(model, chat=chat, **given)


def collected(
    folder: Path,
    targets: Sequence[Target],
    parts: Parts,
    plan: CollectPlan | None = None,
    **given: Any,
) -> CollectReport:
    """Collect, and return the report."""
    plan = plan or CollectPlan(candidates=2)
    collector = Collector(parts, plan, given.pop("source", SOURCE))
    return asyncio.run(gather_episodes(collector, targets, folder, **given))


def episodes(folder: Path) -> list[Episode]:
    """Return what is in a folder's shards."""
    return list(read_episodes(folder, report=lambda damaged: None))


def timeless(found: Episode) -> dict[str, Any]:
    """Return an episode without its times."""
    fields = found.model_dump()
    for name in ("created", "timings"):
        del fields[name]
    for sample in fields["samples"]:
        del sample["seconds"]
    return fields
