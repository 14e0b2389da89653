"""Train the style encoder's weights on authorship verification.

Step one is a closed-form start: the weight of feature i is sqrt(b / t) / sqrt(w) with w its
variance within authors, t in total and b = t - w (a damped Fisher ratio); it already clearly beats
the weights of feature groups. Step two is contrastive learning: softplus(-tau (cos(e, p) - cos(e,
n))) over episodes e, positives p and hard negatives n, mined again each epoch, with a pull towards
the start; the weights with the best accuracy on the gate are returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...models.encoders.style import (
    Count,
    StyleEncoder,
    StyleFeatures,
    count_texts,
    group_log_weights,
)
from ...stores.types import Text
from ..errors import TooFewAuthors
from .data import Batch, draw_batch, find_pairs
from .triplets import Triplets, make_triplets

STATISTICS_TEXTS = 5_000


@dataclass(frozen=True)
class StyleSettings:
    """Training settings of a style encoder.

    Attributes:
        epochs: Maximum number of epochs.
        patience: Epochs without a better gate before training stops.
        of_each: Maximum number of positives per author and epoch.
        batch: Comparisons per step.
        learning_rate: Learning rate of Adam.
        sharpness: tau; cosines of texts differ by tenths.
        pull: Weight of the mean squared distance of the log weights from the start.
        seed: Random seed.
        least_authors: Authors with which there is enough to learn from.
    """

    epochs: int = 30
    patience: int = 5
    of_each: int = 20
    batch: int = 1024
    learning_rate: float = 0.02
    sharpness: float = 8.0
    pull: float = 1.0
    seed: int = 0
    least_authors: int = 20


@dataclass(frozen=True)
class StyleFit:
    """A trained encoder and its training log.

    Attributes:
        encoder: Encoder of the best epoch.
        authors: Number of authors with positives in training.
        pairs: Number of positives in training.
        gate: Accuracy on the gate's triplets (mean over authors) before training, after the start
            and after each epoch; empty if the gate has no triplets, and all epochs were run.
        kept: Index of the returned weights in `gate`.
    """

    encoder: StyleEncoder
    authors: int
    pairs: int
    gate: tuple[float, ...]
    kept: int


def train_style(
    train: Sequence[Text],
    gate: Sequence[Text],
    settings: StyleSettings = StyleSettings(),
    *,
    count: Count = count_texts,
    progress: Callable[[int, float | None], None] = lambda epoch, gate: None,
) -> StyleFit:
    """Train an encoder.

    Args:
        train: Training texts; texts of shared display names are negatives only.
        gate: Texts of other users on other topics, for early stopping.
        settings: Training settings.
        count: As in `StyleFeatures`.
        progress: Called after each epoch with its number and the accuracy on the gate.

    Raises:
        TooFewAuthors: Fewer than `settings.least_authors` users have texts on two topics, one of
            them shared with another user.
    """
    pairs = find_pairs(train)
    authors = len({pair.author for pair in pairs})
    if authors < settings.least_authors:
        raise TooFewAuthors(
            f"expected at least {settings.least_authors} people in the train split with texts on "
            f"two topics that others wrote on too, found {authors} among {len(train)} texts: "
            "ingest more texts, or use the untrained encoder"
        )
    torch.manual_seed(settings.seed)
    random = np.random.default_rng(settings.seed)
    sample = random.permutation(len(train))[:STATISTICS_TEXTS]
    features = StyleFeatures.measure([train[at].body for at in sample], count)
    rows = torch.from_numpy(features.centred([text.body for text in train]))
    watch = _Gate(features, [text for text in gate if not text.shared_id], settings.seed)
    watch.measure(torch.from_numpy(group_log_weights()))
    start = start_weights(rows, train).log()
    watch.measure(start)
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([weights], lr=settings.learning_rate)
    for epoch in range(1, settings.epochs + 1):
        with torch.no_grad():
            batch = draw_batch(pairs, weigh(rows, weights), random, of_each=settings.of_each)
        _run_epoch(weights, rows, batch, start, optimizer, settings)
        progress(epoch, watch.measure(weights.detach()))
        if watch.since_best >= settings.patience:
            break
    best = weights.detach() if watch.kept is None else watch.kept
    encoder = StyleEncoder(features, best.numpy().copy())
    return StyleFit(encoder, authors, len(pairs), tuple(watch.seen), watch.best)


def weigh(rows: torch.Tensor, log_weights: torch.Tensor) -> torch.Tensor:
    """Return unit rows of centred features as the encoder weighs them.

    Args:
        rows: Shape (n, features).
        log_weights: Shape (features,).
    """
    return torch.nn.functional.normalize(rows * log_weights.exp(), dim=1)


def start_weights(rows: torch.Tensor, texts: Sequence[Text]) -> torch.Tensor:
    """Return the closed-form weight of each feature, shape (features,).

    Args:
        rows: Centred features of the texts, shape (texts, features).
        texts: Texts of the authors; display names are left out.
    """
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if not text.shared_id:
            places.setdefault(text.user_id, []).append(place)
    own = [torch.tensor(at) for at in places.values() if len(at) > 1]
    squares = torch.stack([(rows[at] - rows[at].mean(0)).square().sum(0) for at in own]).sum(0)
    within = squares / sum(len(at) - 1 for at in own)
    whole = rows.var(0, correction=0)
    ratio = ((whole - within) / whole.clamp(min=1e-6)).clamp(min=_LEAST_RATIO)
    return ratio.sqrt() / within.clamp(min=_LEAST_VARIANCE).sqrt()


_LEAST_RATIO = 0.02
_LEAST_VARIANCE = 0.05
"""Lower bound of the variance, which limits the weights of features that hardly vary."""


def _run_epoch(
    weights: torch.Tensor,
    rows: torch.Tensor,
    batch: Batch,
    start: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    settings: StyleSettings,
) -> None:
    order = torch.randperm(len(batch.positive))
    for part in torch.split(order, settings.batch):
        places = [batch.episode[part].flatten(), batch.positive[part], batch.negative[part]]
        used, at = torch.unique(torch.cat(places), return_inverse=True)
        unit = weigh(rows[used], weights)
        of_one, positive, negative = at.split([len(each) for each in places])
        episode = torch.nn.functional.normalize(unit[of_one.view(len(part), -1)].mean(1), dim=1)
        margin = (episode * (unit[positive] - unit[negative])).sum(1)
        loss = torch.nn.functional.softplus(-settings.sharpness * margin)
        moved = (weights - start).square().mean()
        whole = (batch.weight[part] * loss).mean() + settings.pull * moved
        optimizer.zero_grad()
        whole.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


class _Gate:
    """Early stopping: measures the gate's accuracy and keeps the best weights.

    Attributes:
        kept: The best weights; None if nothing was measured.
    """

    def __init__(self, features: StyleFeatures, texts: Sequence[Text], seed: int) -> None:
        self._triplets: Triplets = make_triplets(texts, seed=seed, folds=None)
        bodies = [text.body for text in texts]
        self._rows = torch.from_numpy(features.centred(bodies)) if bodies else None
        self.kept: torch.Tensor | None = None
        self.seen: list[float] = []
        self.best = 0

    @property
    def since_best(self) -> int:
        return len(self.seen) - 1 - self.best if self.seen else 0

    def measure(self, log_weights: torch.Tensor) -> float | None:
        """Return the accuracy of the weights; None if the gate has no triplets."""
        if self._rows is None or not len(self._triplets):
            return None
        unit = weigh(self._rows, log_weights).numpy()
        accuracy = float(self._triplets.by_author(self._triplets.right(unit)).mean())
        self.seen.append(accuracy)
        if self.kept is None or accuracy > self.seen[self.best]:
            self.best = len(self.seen) - 1
            self.kept = log_weights.clone()
        return accuracy
