"""Is the right evidence retrieved? Every figure of `patlm bench evidence`.

Weights and thresholds are chosen on `gate` (the reliability of style scores is measured on
`train`); reported figures come from `report`. Each figure is a mean over people of the mean of
their requests, with a bootstrap interval over people.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluation.scores.statistics import ci95
from ...models.encoders.remembered import RememberedEncoder
from ...models.encoders.style import StyleEncoder
from ...stores.datasets.splits import Split
from ...stores.types import Encoder, Text
from ...stores.values import RatingScale
from ..data import HiddenText, hidden_texts, open_corpus, split_texts
from ..encoder import read_data_sets
from ..encoder_rivals import COMPONENTS, char_tfidf
from .preference import Measured, best_weight, harmless_weight, measure_preference
from .style import FORMS, StyleGain, best_threshold, measure_known, measure_unknown, within_authors

Say = Callable[[str], None]
Fit = Callable[[Sequence[str]], Encoder]

MEASURED: tuple[Split, ...] = ("gate", "report")
METRICS = ("objective", "rouge1", "topic_cosine", "rating_agreement", "coverage")
AGAINST = ("bm25", "vectors", "rrf", "random", "anti_aligned")
BINS = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 1.0)
"""Edges of the bins of confidence."""


def measure_evidence(
    files: Sequence[Path], topic: Encoder, *, fit: Fit = StyleEncoder.untrained, say: Say
) -> dict[str, Any]:
    """Measure every file.

    Args:
        files: Of any format that is ingested.
        topic: The stores' topic encoder.
        fit: Fits the style encoder on the texts of the `train` split.
        say: Called with each step.

    Raises:
        FormatError: A file is of no known format.
    """
    remembered = topic if isinstance(topic, RememberedEncoder) else RememberedEncoder(topic)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    pooled: dict[str, list[tuple[str, float]]] = defaultdict(list)
    gains: list[StyleGain] = []
    for data in read_data_sets(files):
        measured = asyncio.run(_measure(data.name, data.texts, data.scale, remembered, fit, say))
        for key, rows in measured.items():
            if key == "gate":
                for arm, values in rows:
                    pooled[arm] += [(f"{data.name} {user}", value) for user, value in values]
            elif key == "gains":
                gains += rows
            else:
                found[key] += rows
    return {
        **found,
        "chosen": {
            "alignment": _chosen(pooled, "alignment"),
            "apart": _chosen(pooled, "apart"),
            "least_style_confidence": _threshold(gains),
        },
    }


async def _measure(
    name: str, texts: Sequence[Text], scale: RatingScale, topic: Encoder, fit: Fit, say: Say
) -> dict[str, list[Any]]:
    marked, splits = split_texts(texts)
    train = [text for text in marked if splits.may_train(text.user_id, text.topic_id)]
    style = RememberedEncoder(fit([text.body for text in train]))
    say(f"{name}: {len(texts)} texts, style encoder {style.version} of {len(train)}")
    components = min(COMPONENTS, len(marked) - 1)
    rows = char_tfidf([text.body for text in marked], longest=4, components=components)
    vector_of = {text.text_id: row for text, row in zip(marked, np.asarray(rows), strict=True)}
    found: dict[str, list[Any]] = defaultdict(list)
    found["reliability"] = [{"data": name, **within_authors(train, style)}]
    async with open_corpus(name, texts, style, topic, scale) as corpus:
        asked = await hidden_texts(corpus, MEASURED)
        say(f"{name}: {len(asked)} requests of preference")
        measured = await measure_preference(corpus, asked, topic)
        _preference_rows(name, asked, measured, found)
        known = [each for each in asked if each.history.texts]
        say(f"{name}: {len(known)} requests of style")
        gains = await measure_known(corpus, known, vector_of)
        unknown = await measure_unknown(corpus, known, style, vector_of)
    for label in dict.fromkeys(_label(name, gain.asked) for gain in gains):
        own = [gain for gain in gains if _label(name, gain.asked) == label]
        nothing = [gain for gain in unknown if _label(name, gain.asked) == label]
        found["style"] += _style_rows(label, own)
        found["lengths"] += _length_rows(label, own)
        found["unknown"] += _unknown_rows(label, [*nothing, *(g for g in own if g.form == "used")])
        if label == name:
            found["gains"] += [gain for gain in nothing if gain.asked.split == "gate"]
    return found


def _label(name: str, asked: HiddenText) -> str:
    return f"{name}-shared_id" if asked.text.shared_id else name


def _preference_rows(
    name: str,
    asked: Sequence[HiddenText],
    measured: Mapping[str, Sequence[Measured | None]],
    found: dict[str, list[Any]],
) -> None:
    """Add rows by split and history, and the gains on `gate` that decide the weights."""
    groups: dict[tuple[str, Split, str], list[int]] = defaultdict(list)
    for at, each in enumerate(asked):
        if measured["used"][at] is not None:
            own = "own" if each.history.texts else "none"
            # The own texts of a display name come from several people.
            data = _label(name, each) if each.history.texts else name
            groups[data, each.split, own].append(at)
    for (data, split, own), places in sorted(groups.items()):
        label: dict[str, Any] = {"data": data, "split": split, "history": own}
        sizes = Counter(asked[at].text.topic_id for at in places)
        label |= {"requests": len(places), "topics": len(sizes)}
        label["largest_topic"] = round(max(sizes.values()) / len(places), 3)
        for arm, values in measured.items():
            if all(values[at] is None for at in places):
                continue
            found["preference"].append({**label, "arm": arm, **_means(asked, places, values)})
        pairs = [("used", other) for other in AGAINST]
        pairs.append(("alignment=1", "alignment=0"))
        for one, other in pairs:
            for metric in METRICS:
                gains = _gains(asked, places, measured[one], measured[other], metric)
                if gains:  # without history no ranking uses alignment
                    row = {**label, "arm": one, "against": other, "metric": metric}
                    found["preference_paired"].append({**row, **_summed(gains)})
        if split == "gate":
            for arm in measured:
                if arm.startswith("alignment=") and own == "own" and data == name:
                    gains = _gains(
                        asked, places, measured[arm], measured["alignment=0"], "objective"
                    )
                    found["gate"].append((arm, gains))
                if arm.startswith("apart="):
                    gains = _gains(asked, places, measured[arm], measured["apart=0"], "coverage")
                    found["gate"].append((arm, gains))


def _means(
    asked: Sequence[HiddenText], places: Sequence[int], values: Sequence[Measured | None]
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for metric in (*METRICS, "among", "words"):
        each = [
            (asked[at].text.user_id, value[metric])
            for at in places
            if (value := values[at]) is not None and metric in value
        ]
        if each:
            row[metric] = round(float(_by_person(each).mean()), 4)
        if metric == "objective":
            row["ci95"] = ci95(_by_person(each))
    return row


def _gains(
    asked: Sequence[HiddenText],
    places: Sequence[int],
    one: Sequence[Measured | None],
    other: Sequence[Measured | None],
    metric: str,
) -> list[tuple[str, float]]:
    found = []
    for at in places:
        first, second = one[at], other[at]
        if first is not None and second is not None and metric in first and metric in second:
            found.append((asked[at].text.user_id, first[metric] - second[metric]))
    return found


def _chosen(pooled: Mapping[str, list[tuple[str, float]]], prefix: str) -> dict[str, Any]:
    """Return the weight that the gate requests of all files choose, and the figures of each."""
    tried = {arm: _summed(gains) for arm, gains in pooled.items() if arm.startswith(f"{prefix}=")}
    choose = best_weight if prefix == "alignment" else harmless_weight
    return {"weight": choose(tried) if tried else None, "tried": tried}


def _threshold(gains: Sequence[StyleGain]) -> dict[str, Any]:
    threshold = best_threshold(gains)
    parts = {
        "below": [gain for gain in gains if gain.confidence < threshold],
        "above": [gain for gain in gains if gain.confidence >= threshold],
    }
    sums = {name: _summed(_people(each)) for name, each in parts.items() if each}
    return {"confidence": round(threshold, 4), **sums}


def _style_rows(name: str, gains: Sequence[StyleGain]) -> list[dict[str, Any]]:
    rows = []
    for split, kind, form in product(MEASURED, ("1", "3", "all"), FORMS):
        own = _select(gains, split, kind, form)
        if own:
            aligned = [(gain.asked.text.user_id, gain.aligned) for gain in own]
            row: dict[str, Any] = {"data": name, "split": split, "history": kind, "form": form}
            row["cosine"] = round(float(_by_person(aligned).mean()), 4)
            rows.append({**row, **_summed(_people(own))})
    return rows


def _length_rows(name: str, gains: Sequence[StyleGain]) -> list[dict[str, Any]]:
    """Return correlations of the lengths of neighbours' and own texts, by form."""
    rows = []
    for split in MEASURED:
        row: dict[str, Any] = {"data": name, "split": split, "history": "all"}
        for form in FORMS:
            own = _select(gains, split, "all", form)
            if len(own) < 3:
                continue
            asked = [gain.own_words for gain in own]
            row[form] = _correlation(asked, [gain.found_words for gain in own])
            hidden = [float(np.log1p(len(gain.asked.text.body.split()))) for gain in own]
            row["own_next_text"] = _correlation(asked, hidden)
        if len(row) > 3:
            rows.append(row)
    return rows


def _unknown_rows(name: str, gains: Sequence[StyleGain]) -> list[dict[str, Any]]:
    """Return gains by kind of request, and by confidence."""
    rows = []
    for split in MEASURED:
        own = [gain for gain in gains if gain.asked.split == split]
        for kind in dict.fromkeys(gain.kind for gain in own):
            some = [gain for gain in own if gain.kind == kind]
            sure = np.quantile([gain.confidence for gain in some], [0.1, 0.5, 0.9])
            row = {"data": name, "split": split, "kind": kind, **_summed(_people(some))}
            rows.append({**row, "confidence": [round(float(each), 4) for each in sure]})
        nothing = [gain for gain in own if gain.kind not in ("1", "3", "all")]
        for low, high in zip(BINS, BINS[1:], strict=False):
            some = [gain for gain in nothing if low <= gain.confidence < high]
            if some:
                row = {"data": name, "split": split, "kind": f"{low:g} <= confidence < {high:g}"}
                rows.append({**row, **_summed(_people(some))})
    return rows


def _select(gains: Iterable[StyleGain], split: Split, kind: str, form: str) -> list[StyleGain]:
    return [
        gain
        for gain in gains
        if gain.asked.split == split and gain.kind == kind and gain.form == form
    ]


def _people(gains: Iterable[StyleGain]) -> list[tuple[str, float]]:
    return [(gain.asked.text.user_id, gain.gain) for gain in gains]


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    return round(float(np.corrcoef(one, other)[0, 1]), 3)


def _by_person(values: Iterable[tuple[str, float]]) -> NDArray[np.float64]:
    people: dict[str, list[float]] = defaultdict(list)
    for user, value in values:
        people[user].append(value)
    return np.array([np.mean(each) for each in people.values()])


def _summed(values: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return the mean gain over people with its interval."""
    people = _by_person(values)
    if not len(people):
        return {"people": 0, "gain": 0.0, "ci95": [0.0, 0.0]}
    return {
        "requests_counted": len(values),
        "people": len(people),
        "gain": round(float(people.mean()), 4),
        "ci95": ci95(people),
    }
