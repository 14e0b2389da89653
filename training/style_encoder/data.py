"""Training data of the style encoder: episodes, positives and hard negatives.

Authorship verification with topic control (Wegmann et al. 2022): the positive is a text of the
anchor's author on another topic, the negatives are others' texts on the *positive's* topic. The
anchor is up to `LONGEST` texts pooled as one episode (LUAR, Rivera-Soto et al. 2021).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...stores.datasets.splits import Splits
from ...stores.search.words import bare
from ...stores.texts.arrow import Places
from ...stores.types import Text

LONGEST = 3
"""Maximum number of texts per episode."""

NEGATIVES = 3
"""Number of hardest negatives per positive."""


@dataclass(frozen=True)
class Positive:
    """A positive with its episode and negatives, as indices into a list of texts.

    Attributes:
        author: The author.
        episode: Other texts of the author, none on the positive's topic.
        positive: The positive.
        topic: Topic of the positive.
        rivals: Texts of others on this topic, ascending.
    """

    author: str
    episode: tuple[int, ...]
    positive: int
    topic: str
    rivals: Places


@dataclass(frozen=True)
class Batch:
    """Indices of one epoch's comparisons, all of shape (comparisons, ...).

    Attributes:
        episode: Text indices, shape (comparisons, LONGEST); texts of shorter episodes are repeated.
        positive: Text indices.
        negative: Text indices.
        weight: 1 / number of the author's positives, so that all authors weigh the same; scaled to
            mean 1.
    """

    episode: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    weight: torch.Tensor


def find_pairs(texts: Sequence[Text]) -> list[Positive]:
    """Return all positives, with their author's other texts and others' texts on their topic.

    A display name that several people use (`shared_id`) is not an author, but its texts may be
    negatives.
    """
    of_author: dict[str, list[int]] = defaultdict(list)
    on_topic: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        if text.topic_id and text.body.strip():
            on_topic[text.topic_id].append(place)
            if not text.shared_id:
                of_author[text.user_id].append(place)
    bodies = [bare(text.body) for text in texts]
    pairs = []
    for author in sorted(of_author):
        for positive in of_author[author]:
            topic, body = texts[positive].topic_id, bodies[positive]
            episode = tuple(
                place
                for place in of_author[author]
                if texts[place].topic_id != topic and bodies[place] != body
            )
            rivals = tuple(
                place
                for place in on_topic[topic]
                if texts[place].user_id != author and bodies[place] != body
            )
            if episode and rivals:
                pairs.append(Positive(author, episode, positive, topic, np.array(rivals)))
    return pairs


def draw_batch(
    pairs: Sequence[Positive], rows: torch.Tensor, random: np.random.Generator, *, of_each: int
) -> Batch:
    """Sample one epoch: random episodes and their nearest negatives.

    Args:
        pairs: Positives to sample from.
        rows: Unit vectors of all texts by the current model, shape (texts, dimension).
        random: Random generator.
        of_each: Maximum number of positives per author.
    """
    by_author: dict[str, list[Positive]] = defaultdict(list)
    for pair in pairs:
        by_author[pair.author].append(pair)
    drawn: list[Positive] = []
    episodes, sizes, weights = [], [], []
    for own in by_author.values():
        chosen = [own[at] for at in random.permutation(len(own))[:of_each]]
        for pair in chosen:
            size = random.integers(1, LONGEST + 1)
            episode = random.permutation(pair.episode)[:size]
            drawn.append(pair)
            episodes.append(episode[_CYCLE % len(episode)])
            sizes.append(len(episode))
            weights.append(1 / len(chosen))
    places = np.array(episodes)
    share = (_CYCLE < np.array(sizes)[:, None]) / np.array(sizes, np.float32)[:, None]
    means = np.einsum("nld,nl->nd", rows.numpy()[places], share.astype(np.float32))
    compared, negatives = _hardest(drawn, means, rows.numpy())
    weight = torch.tensor(weights)[compared]
    return Batch(
        torch.from_numpy(places[compared]),
        torch.tensor([pair.positive for pair in drawn])[compared],
        torch.from_numpy(negatives),
        weight / weight.mean(),
    )


_CYCLE = np.arange(LONGEST)


def _hardest(
    pairs: Sequence[Positive], means: NDArray[np.float32], rows: NDArray[np.float32]
) -> tuple[Places, Places]:
    """Return up to `NEGATIVES` rivals of each pair, those nearest to its episode.

    Computed by topic, so that a topic of hundreds of texts is one matrix product.

    Args:
        pairs: The sampled positives.
        means: Means of their episodes, shape (pairs, dimension).
        rows: Unit vectors of all texts.

    Returns:
        The index of the pair and that of the rival's text, both of shape (comparisons,).
    """
    on_topic: dict[str, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        on_topic[pair.topic].append(number)
    found: dict[int, Places] = {}
    for numbers in on_topic.values():
        places = np.unique(np.concatenate([pairs[number].rivals for number in numbers]))
        for number, near in zip(numbers, means[numbers] @ rows[places].T, strict=True):
            rivals = pairs[number].rivals
            far = -near[np.searchsorted(places, rivals)]
            most = min(NEGATIVES, len(far))
            hard = np.argpartition(far, most - 1)[:most]
            found[number] = rivals[hard[np.argsort(far[hard])]]
    compared = np.repeat(np.arange(len(pairs)), [len(found[at]) for at in range(len(pairs))])
    return compared, np.concatenate([found[at] for at in range(len(pairs))])


def split_for_style(texts: Iterable[Text], splits: Splits) -> tuple[list[Text], list[Text]]:
    """Return the training texts and the gate's texts.

    Training: user and topic in `train`. Gate: users of `gate` on any topic outside `report`; texts
    on gate topics alone would be too few for a measurement.

    Args:
        texts: Shared texts of one namespace.
        splits: Splits of the same namespace.
    """
    train, gate = [], []
    for text in texts:
        if not text.topic_id:
            continue
        if splits.may_train(text.user_id, text.topic_id):
            train.append(text)
        elif splits.of_user(text.user_id) == "gate" and splits.of_topic(text.topic_id) != "report":
            gate.append(text)
    return train, gate
