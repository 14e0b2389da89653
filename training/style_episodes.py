"""What a style encoder learns from: an author's texts, one more of theirs, and look-alikes.

Authorship verification with topic control (Wegmann et al. 2022): the positive is a text of the
anchor's author on another topic, the negatives are others' texts on the *positive's* topic. The
anchor is up to a few texts pooled as one episode (LUAR, Rivera-Soto et al. 2021).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..stores.records import Text
from ..stores.words import bare

LONGEST = 3
"""Texts of an episode at most."""

NEGATIVES = 3
"""Of each positive; the hardest."""


@dataclass(frozen=True)
class Pair:
    """One positive and what may stand beside it; places in a list of texts.

    Attributes:
        author: Who wrote it.
        episode: Other texts of the author, none on the positive's topic.
        positive: The text that is to be near.
        rivals: Texts of others on the positive's topic.
    """

    author: str
    episode: tuple[int, ...]
    positive: int
    rivals: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Indices of one epoch's comparisons, all of shape (comparisons, ...).

    Attributes:
        episode: Places, shape (comparisons, LONGEST); repeated where an episode is shorter.
        positive: Places.
        negative: Places.
        weight: 1 / the author's positives, so that who wrote much counts no more; scaled to mean 1.
    """

    episode: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    weight: torch.Tensor


def find_pairs(texts: Sequence[Text]) -> list[Pair]:
    """Return every positive that has an author's other texts and look-alikes.

    A display name that several people use (`shared_id`) is no author; its texts may stand as
    others' texts all the same.
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
                pairs.append(Pair(author, episode, positive, rivals))
    return pairs


def draw_batch(
    pairs: Sequence[Pair], rows: torch.Tensor, random: np.random.Generator, *, of_each: int
) -> Batch:
    """Draw one epoch: episodes at random, negatives the nearest ones to the episode.

    Args:
        pairs: What may be drawn.
        rows: Unit vectors of all texts by the model as it is, shape (texts, dimension).
        random: Draws.
        of_each: Positives of an author at most.
    """
    by_author: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_author[pair.author].append(pair)
    episodes, positives, negatives, weights = [], [], [], []
    for own in by_author.values():
        chosen = [own[at] for at in random.permutation(len(own))[:of_each]]
        for pair in chosen:
            size = random.integers(1, LONGEST + 1)
            episode = random.permutation(pair.episode)[:size]
            near = rows[list(pair.rivals)] @ rows[episode].mean(0)
            for hard in near.topk(min(NEGATIVES, len(near))).indices.tolist():
                episodes.append(np.resize(episode, LONGEST))
                positives.append(pair.positive)
                negatives.append(pair.rivals[hard])
                weights.append(1 / len(chosen))
    weight = torch.tensor(weights)
    return Batch(
        torch.from_numpy(np.array(episodes)),
        torch.tensor(positives),
        torch.tensor(negatives),
        weight / weight.mean(),
    )
