"""Does the style encoder recognise people? Every figure of `patlm bench encoder`.

Cross-fitted: people in two halves x topics in two halves, each triplet scored by a model that saw
neither its people nor its topics. The rivals (`encoder_rivals`) see all texts of a file at once
(never their authors), each with its best setting, which makes the encoder's lead a lower bound.
Its speed is compared with MiniLM's on the same texts.
"""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray

from ..evaluation.scores.statistics import ci95
from ..models.encoders.style import Count, Counts, StyleEncoder, count_texts
from ..stores.datasets.sample import sample_corpus
from ..stores.types import Encoder, Text, Vectors
from ..stores.values import FIVE_STARS, RatingScale
from ..training.errors import TooFewAuthors
from ..training.style_encoder.train import StyleSettings, train_style
from ..training.style_encoder.triplets import Halves, Rows, Triplets, make_triplets
from .data import data_name, read_rated, valid_texts
from .encoder_rivals import COMPONENTS, Rival, char_tfidf, measure_neighbours, rivals

Say = Callable[[str], None]

SEEDS = (0, 1, 2)
SETTINGS = StyleSettings(epochs=20)
"""All epochs are run: a fold has too few people for a gate."""

PART = 1_000

SPEED_TEXTS = 256
SPEED_REPEATS = 3
"""Turns of each encoder, alternating, so that a drift of the machine affects both."""

OURS = "patlm"
UNTRAINED = "patlm_untrained"
NO_SPACING = "patlm_no_spacing"

Means = Mapping[str, float]
"""An accuracy by author."""


@dataclass(frozen=True)
class FileTexts:
    """One file.

    Attributes:
        name: The file's name without `_dev` or `_test`.
        texts: Its valid texts.
        other_texts: Texts of the other files and of the sample corpus by other people on other
            topics, for folds with too few people to train on.
        scale: The scale of its ratings.
    """

    name: str
    texts: Sequence[Text]
    other_texts: Sequence[Text]
    scale: RatingScale = FIVE_STARS


def measure_encoder(
    files: Sequence[Path],
    topic: Encoder,
    *,
    seeds: Sequence[int] = SEEDS,
    settings: StyleSettings = SETTINGS,
    jobs: int = 1,
    say: Say,
) -> dict[str, Any]:
    """Measure every file.

    Args:
        files: Of any format that is ingested.
        topic: MiniLM: the rival by subject, and the stores' topic encoder.
        seeds: Random seeds of sampling and training; an author's accuracies are averaged over them.
        settings: Of the training, but for the seed.
        jobs: Processes that train in parallel.
        say: Called with each step.

    Raises:
        FormatError: A file is of no known format.
    """
    rows: list[dict[str, Any]] = []
    paired: list[dict[str, Any]] = []
    neighbours: dict[str, list[dict[str, Any]]] = {"rows": [], "paired": []}
    sets = read_data_sets(files)
    speed = [_speed(data, topic, say) for data in sets]
    count = _counted_triplets(sets, jobs, say)
    by_seed = [replace(settings, seed=seed) for seed in seeds]
    for data in sets:
        known = KnownVectors(topic, [text.body for text in data.texts])
        found, counts = _measure(data, known.encode, by_seed, count, jobs, say)
        display_names = {text.user_id for text in data.texts if text.shared_id}
        for label, authors in (
            (data.name, counts.keys() - display_names),
            (f"{data.name}-shared_id", counts.keys() & display_names),
        ):
            if authors:
                own = {name: {a: means[a] for a in authors} for name, means in found.items()}
                triplets = sum(counts[author] for author in authors)
                rows += [_row(label, name, means, triplets) for name, means in own.items()]
                paired += _paired(label, own)
        for kind, each in _neighbours(data, known, by_seed[0], count, jobs, say).items():
            neighbours[kind] += each
    return {
        "rows": rows,
        "paired": paired,
        "neighbours": neighbours,
        "speed": speed,
        "seeds": list(seeds),
    }


def read_data_sets(files: Sequence[Path]) -> list[FileTexts]:
    """Read files, each with the texts of other people in the others and the sample corpus.

    Raises:
        FormatError: A file is of no known format.
    """
    rated = {data_name(file): read_rated(file) for file in files}
    read = {name: texts for name, (texts, _) in rated.items()}
    found = []
    for name, (texts, scale) in rated.items():
        users, topics = {text.user_id for text in texts}, {text.topic_id for text in texts}
        others = [each for other, each in read.items() if other != name]
        other_texts = [
            text
            for text in chain(*others, valid_texts(sample_corpus()))
            if text.user_id not in users and text.topic_id not in topics
        ]
        found.append(FileTexts(name, texts, other_texts, scale))
    return found


def without_spacing(text: str) -> str:
    """Return a text on one line, with one space after each word and mark, none before a mark."""
    return " ".join(re.sub(r"\s*([,;:.!?]+)\s*", r"\1 ", text).split())


def _measure(
    data: FileTexts,
    minilm: Rival,
    by_seed: Sequence[StyleSettings],
    count: Count,
    jobs: int,
    say: Say,
) -> tuple[dict[str, Means], Counter[str]]:
    """Return each encoder's accuracy by author, and each author's triplets in all seeds."""
    halves = Halves.of(data.texts)
    drawn = [make_triplets(data.texts, seed=each.seed, folds=halves) for each in by_seed]
    counts = Counter(triplets.authors[at] for triplets in drawn for at in triplets.author)
    say(
        f"{data.name}: {len(data.texts)} texts, {len(counts)} authors with triplets, "
        f"{counts.total()} triplets of {len(by_seed)} seeds"
    )
    found: dict[str, Means] = {}
    plain = replace(data, texts=_plain(data.texts), other_texts=_plain(data.other_texts))
    ours = ((OURS, data, _trained), (UNTRAINED, data, _untrained), (NO_SPACING, plain, _trained))
    with parallel_config("loky", inner_max_num_threads=1):
        right = Parallel(n_jobs=jobs)(
            delayed(_cross_fitted)(
                each.texts, halves, triplets, partial(fit, count, each.other_texts, settings)
            )
            for _, each, fit in ours
            for triplets, settings in zip(drawn, by_seed, strict=True)
        )
    for at, (name, _, _) in enumerate(ours):
        found[name] = _by_author(drawn, right[at * len(by_seed) : (at + 1) * len(by_seed)])
        say(f"{data.name}: {name} {_mean(found[name]):.4f}")
    bodies = [text.body for text in data.texts]
    for rival, forms in rivals(minilm).items():
        found[rival] = max((_score(drawn, make(bodies)) for make in forms), key=_mean)
        say(f"{data.name}: {rival} {_mean(found[rival]):.4f}")
    return found, counts


def _neighbours(
    data: FileTexts, topic: Encoder, settings: StyleSettings, count: Count, jobs: int, say: Say
) -> dict[str, list[dict[str, Any]]]:
    say(f"{data.name}: style neighbours of held-out people")
    bodies = [text.body for text in data.texts]
    judge = char_tfidf(bodies, longest=4, components=min(COMPONENTS, len(bodies) - 1))
    fit = partial(_trained, count, data.other_texts, settings)
    return measure_neighbours(data.name, data.texts, fit, topic, np.asarray(judge), jobs=jobs)


def _speed(data: FileTexts, topic: Encoder, say: Say) -> dict[str, Any]:
    bodies = [text.body for text in data.texts]
    found = measure_speed(data.name, bodies, StyleEncoder.untrained(bodies), topic)
    say(f"{data.name}: patlm {found['patlm_per_s']:.0f} texts/s, {found['ratio']:.1f} x minilm")
    return found


def _counted_triplets(sets: Sequence[FileTexts], jobs: int, say: Say) -> RememberedCounts:
    """Count each text once, with and without its spacing."""
    texts = [text for data in sets for text in (*data.texts, *data.other_texts)]
    found = RememberedCounts((each.body for each in (*texts, *_plain(texts))), jobs=jobs)
    say(f"{len(texts)} texts are counted")
    return found


def _trained(
    count: Count, other_texts: Sequence[Text], settings: StyleSettings, seen: Sequence[Text]
) -> Encoder:
    try:
        return train_style(seen, [], settings, count=count).encoder
    except TooFewAuthors:
        return train_style([*seen, *other_texts], [], settings, count=count).encoder


def _untrained(
    count: Count, other_texts: Sequence[Text], settings: StyleSettings, seen: Sequence[Text]
) -> Encoder:
    return StyleEncoder.untrained([text.body for text in seen], count)


def _plain(texts: Sequence[Text]) -> list[Text]:
    return [replace(text, body=without_spacing(text.body)) for text in texts]


def _cross_fitted(
    texts: Sequence[Text],
    halves: Halves,
    triplets: Triplets,
    fit: Callable[[Sequence[Text]], Encoder],
) -> NDArray[np.float64]:
    """Score each triplet (1 right, 0 wrong) with the model of the opposite fold.

    Args:
        texts: All texts.
        halves: Of people and topics.
        triplets: To score.
        fit: Fits a model on the texts of one fold.
    """
    folds = np.array([halves.fold(text) for text in texts])
    right = np.zeros(len(triplets))
    for fold in sorted(set(triplets.fold.tolist())):
        encoder = fit([texts[at] for at in np.flatnonzero(folds == Halves.opposite(fold)).tolist()])
        held_out = np.flatnonzero(folds == fold).tolist()
        rows = np.zeros((len(texts), encoder.dimension), np.float32)
        rows[held_out] = encoder.encode([texts[at].body for at in held_out])
        right = np.where(triplets.fold == fold, triplets.right(rows), right)
    return right


def _score(drawn: Sequence[Triplets], rows: Rows) -> Means:
    return _by_author(drawn, [triplets.right(rows) for triplets in drawn])


def _by_author(drawn: Sequence[Triplets], right: Sequence[NDArray[np.float64]]) -> Means:
    """Return each author's accuracy, the mean over the draws that the author is in."""
    means: dict[str, list[float]] = defaultdict(list)
    for triplets, each in zip(drawn, right, strict=True):
        for author, mean in zip(triplets.authors, triplets.by_author(each), strict=True):
            means[author].append(float(mean))
    return {author: float(np.mean(each)) for author, each in means.items()}


def _mean(means: Means) -> float:
    return float(np.mean(list(means.values())))


def _row(data: str, encoder: str, means: Means, triplets: int) -> dict[str, Any]:
    return {
        "data": data,
        "encoder": encoder,
        "authors": len(means),
        "triplets": triplets,
        "accuracy": round(_mean(means), 4),
        "ci95": ci95(list(means.values())),
    }


def _paired(data: str, means: Mapping[str, Means]) -> list[dict[str, Any]]:
    """Return the lead over each rival, author by author."""
    found = []
    for rival in means:
        if rival not in (OURS, NO_SPACING):
            gains = np.array([means[OURS][a] - means[rival][a] for a in sorted(means[OURS])])
            gain = round(float(gains.mean()), 4)
            found.append({"data": data, "against": rival, "gain": gain, "ci95": ci95(gains)})
    return found


class KnownVectors:
    """A `stores.types.Encoder` of given texts only, which can be sent to other processes."""

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        """Embed the texts with an encoder that stays in this process."""
        self.version, self.dimension = encoder.version, encoder.dimension
        self._place = {text: at for at, text in enumerate(dict.fromkeys(texts))}
        self._rows = encoder.encode(list(self._place))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text, shape (len(texts), dimension).

        Raises:
            KeyError: A text was not embedded.
        """
        return self._rows[[self._place[text] for text in texts]]


class RememberedCounts:
    """A `models.encoders.style.Count` with the counts of some texts; counts others on demand."""

    def __init__(self, texts: Iterable[str], *, jobs: int = 1) -> None:
        """Count texts, in one process for each job."""
        every = list(dict.fromkeys(texts))
        parts = [every[begin : begin + PART] for begin in range(0, len(every), PART)]
        counted = Parallel(n_jobs=jobs)(delayed(count_texts)(part) for part in parts)
        self._place = {text: at for at, text in enumerate(every)}
        # joblib shares large arrays with other processes without a copy.
        self._rows = {name: np.concatenate([part[name] for part in counted]) for name in counted[0]}

    def __call__(self, texts: Sequence[str]) -> Counts:
        """Return a row of counts a text."""
        if not all(text in self._place for text in texts):
            return count_texts(texts)
        at = [self._place[text] for text in texts]
        return {name: rows[at] for name, rows in self._rows.items()}


def measure_speed(
    data: str, bodies: Sequence[str], ours: Encoder, minilm: Encoder
) -> dict[str, Any]:
    """Encode the same texts with both encoders in turn.

    Args:
        data: Name of the data set.
        bodies: The first `SPEED_TEXTS` are taken.
        ours: The style encoder; trained and untrained forms do the same work.
        minilm: The reference.

    Returns:
        `data`, `texts`, `patlm_per_s` and `minilm_per_s` (medians, texts a second), and `ratio`,
        the median of patlm / minilm over the turns.
    """
    chosen = list(bodies[:SPEED_TEXTS])
    ours.encode(chosen[:8])  # lazy loading is not part of the speed
    minilm.encode(chosen[:8])
    turns = [(_per_second(ours, chosen), _per_second(minilm, chosen)) for _ in range(SPEED_REPEATS)]
    return {
        "data": data,
        "texts": len(chosen),
        "patlm_per_s": round(statistics.median(mine for mine, _ in turns), 1),
        "minilm_per_s": round(statistics.median(theirs for _, theirs in turns), 1),
        "ratio": round(statistics.median(mine / theirs for mine, theirs in turns), 2),
    }


def _per_second(encoder: Encoder, bodies: Sequence[str]) -> float:
    started = time.perf_counter()
    encoder.encode(bodies)
    return len(bodies) / (time.perf_counter() - started)
