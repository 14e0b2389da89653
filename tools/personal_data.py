"""Measure the guards: what is found of the made set, what in real texts, copies, and the cost.

    PATLM_DATA=... python tools/personal_data.py found | real | copies | cost
    python tools/personal_data.py found --with scrubadub    # or presidio, where it is installed

Of real texts only counts are printed. The rivals get every locale and recogniser of theirs that
needs no model.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "support"))

Spans = list[tuple[int, int, str]]
Find = Callable[[str, str], Spans]

LANGUAGES = ("en", "pt", "de")
TEXTS_OF_A_FILE = 400


def ours() -> Find:
    """Return what finds as a run does."""
    from patlm.nodes.guards.personal_data import find

    return lambda text, language: [
        (each.start, each.end, each.kind) for each in find(text, language)
    ]


def scrubadub() -> Find:
    """Return scrubadub with its detectors of each language."""
    import scrubadub

    names = {"en": ("en_US", "en_GB"), "pt": ("pt_BR", "pt_PT"), "de": ("de_DE",)}
    by_language = {
        language: [scrubadub.Scrubber(locale=name) for name in locales]
        for language, locales in names.items()
    }
    return lambda text, language: [
        (each.beg, each.end, each.type)
        for scrubber in by_language.get(language, by_language["en"])
        for each in scrubber.iter_filth(text)
    ]


def presidio() -> Find:
    """Return presidio's recognisers of patterns, of all three languages at once."""
    import presidio_analyzer.predefined_recognizers as recognizers

    names = "CreditCard UsItin UsPassport UsSsn Nhs Email Iban Ip Phone Url UkNino UkPassport"
    names += " UkPostcode DePassport DeTaxId DeIdCard DeSocialSecurity"
    made = [getattr(recognizers, f"{name}Recognizer")() for name in names.split()]
    return lambda text, language: [
        (each.start, each.end, each.entity_type)
        for recognizer in made
        for each in recognizer.analyze(text, recognizer.supported_entities, None) or []
        if each.score >= 0.3
    ]


def found(find: Find) -> None:
    """Print what is found of each kind and language of the made set."""
    from made_personal_data import KINDS, read_items

    items, rows = read_items(), {}
    for item in items:
        spans = find(item["text"], item["language"])
        rows.setdefault((item["kind"], item["language"]), []).append(is_covered(item, spans))
    print("| kind |", " | ".join(LANGUAGES), "| all |\n|---|---|---|---|---|")
    for kind in KINDS:
        cells = [rows[kind, language] for language in LANGUAGES]
        print(f"| {kind} |", " | ".join(f"{sum(cell)} of {len(cell)}" for cell in cells), end="")
        print(f" | {sum(map(sum, cells))} |")
    print(f"all: {sum(map(sum, rows.values()))} of {len(items)}")


def is_covered(item: dict[str, Any], spans: Spans) -> bool:
    """Return whether four fifths of an item's letters and digits are in some spans."""
    places = [at for at in range(item["start"], item["end"]) if item["text"][at].isalnum()]
    return sum(any(a <= at < b for a, b, _ in spans) for at in places) >= 0.8 * len(places)


def real_texts(most: int | None = TEXTS_OF_A_FILE) -> Iterator[tuple[str, Any]]:
    """Yield texts of each file, the first ones by their ids."""
    from patlm.stores.datasets.formats import read_texts

    data = Path(os.environ["PATLM_DATA"])
    for path in sorted([*data.glob("pgraphrag/*.json"), *data.glob("amazon14/*.jsonl")]):
        by_id = {text.text_id: text for text in read_texts(path) if getattr(text, "body", None)}
        for text_id in sorted(by_id)[:most]:
            yield path.stem, by_id[text_id]


def real(find: Find, *, show: bool = False) -> None:
    """Print what is found in real texts, by file and kind; `show` prints it, to be judged."""
    counts, texts, seconds = Counter(), 0, 0.0
    for name, text in real_texts():
        begin = time.process_time()
        spans = find(text.body, (text.language or "en")[:2])
        seconds += time.process_time() - begin
        texts += 1
        counts.update((name, kind) for _, _, kind in spans)
        for start, end, kind in spans if show else ():
            print(kind, text.body[max(0, start - 30) : start], ">>", text.body[start:end])
    print(f"{texts} texts, {seconds / texts * 1e6:.0f} microseconds of CPU each: {dict(counts)}")


def copies(find: Find) -> None:
    """Print how many real texts have runs of eight words of others' texts on their topic."""
    from patlm.nodes.guards.drafts import Guard

    topics: dict[tuple[str, str], list[Any]] = {}
    for name, text in real_texts(None):
        topics.setdefault((name, text.topic_id), []).append(text)
    asked = hit = short = 0
    for texts in topics.values():
        for text in texts[:3]:
            others = [each.body for each in texts if each.user_id != text.user_id][:8]
            if len(others) < 4:
                continue
            asked += 1
            hit += bool(Guard(8, others=others).faults(text.body))
            short += bool(Guard(6, others=others).faults(text.body))
    print(f"of {asked} real texts {hit} have 8 words in a row of 4 to 8 others' texts, {short} six")


REPEATS = 5


def cost(find: Find) -> None:
    """Print what the guards take of the framework's time a request, with real texts."""
    asyncio.run(_cost())


async def _cost() -> None:
    from fakes import ScriptedChat
    from loop_parts import GivenRetrieval, found, loop_of, parts_of
    from patlm.nodes.budget import BUDGETS
    from patlm.nodes.guards import drafts
    from patlm.nodes.state import RunContext

    spent, request = _timed_guards(), {"user_id": "nobody", "task": "long", "title": "Two nights"}
    texts = [text for _, text in real_texts(60)]
    for name, budget in BUDGETS.items():
        guards, whole, known = [], [], []
        for at in range(0, len(texts) - 2 * budget.k, 2 * budget.k):
            pieces, rows = texts[at : at + 2 * budget.k], []
            say = " ".join([*pieces[0].title.split(), *("a plain answer of it".split() * 16)])
            store = GivenRetrieval(style=found(pieces[::2]), preference=found(pieces[1::2]))
            model = ScriptedChat(says=dict.fromkeys(("style", "preference", "integrate"), say))
            loop = loop_of(parts_of(model, store, budget=budget, min_authors=1))
            for turn in range(2 * REPEATS):
                if turn < REPEATS:  # as if no request had found these texts before
                    drafts._clean.clear()
                spent.clear()
                begin = time.process_time()
                await loop.ainvoke(request, context=RunContext(max_iterations=2))
                rows.append((sum(spent), time.process_time() - begin))
            guards.append(1000 * min(row[0] for row in rows[:REPEATS]))
            whole.append(1000 * min(row[1] for row in rows[:REPEATS]))
            known.append(1000 * min(row[0] for row in rows[REPEATS:]))
        cuts = statistics.quantiles(guards, n=20, method="inclusive")
        print(
            f"{name} (k {budget.k}, 2 iterations, {len(guards)} requests): guards p50 "
            f"{cuts[9]:.2f} ms, p95 {cuts[18]:.2f}, of {statistics.median(whole):.1f} ms in all; "
            f"p50 {statistics.median(known):.2f} ms with texts that earlier requests found",
            flush=True,
        )


def _timed_guards() -> list[float]:
    """Return a list to which every call of a guard adds its seconds of CPU."""
    from patlm.nodes import integrate, model_call, reason
    from patlm.nodes.guards import drafts

    seconds: list[float] = []

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            begin = time.thread_time()
            try:
                return work(*given)
            finally:
                seconds.append(time.thread_time() - begin)

        return call

    assert model_call.Guard is drafts.Guard
    drafts._scrub_all = timed(drafts._scrub_all)
    drafts.Guard.faults = timed(drafts.Guard.faults)
    for module in (reason, integrate):
        module.guard_of = timed(module.guard_of)
    return seconds


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["found", "real", "copies", "cost"])
    parser.add_argument("--with", dest="tool", default="ours")
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    find = {"ours": ours, "scrubadub": scrubadub, "presidio": presidio}[given.tool]()
    if given.what == "real":
        real(find, show=given.show)
    else:
        {"found": found, "copies": copies, "cost": cost}[given.what](find)


if __name__ == "__main__":
    main()
