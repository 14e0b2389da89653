"""The style encoder: ours, or a published one.

Ours has two steps: `StyleFeatures` counts how texts are written and centres the counts by language,
then each feature is weighed. Untrained, the weights are those of the feature groups, so that both
forms are one model. It runs on numpy alone: a store is served without torch, which only training
needs (`training.style_encoder`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..errors import ModelNotFound, ModelUnusable
from .sentence import SentenceEncoder, load_sentence_encoder
from .style_features import (
    GROUP_WEIGHTS,
    NAMES,
    PRIOR,
    SHARES,
    count_style,
    is_portuguese,
    shape_ngrams,
)

SHAPE_BINS = 174
"""Dimensions of the hashed n-grams; 256 with the counted features."""

LEAST_TEXTS = 200
"""A language with fewer texts is centred on the statistics of all languages."""

LEAST_SPREAD = 0.02
"""Least spread of a feature: otherwise rare traits would outweigh all others."""

CLIP = 4.0
"""Features are clipped at this many spreads from the mean."""

SHAPE_WEIGHT = 0.25
"""Untrained weight of a bin of the n-grams; a counted feature has about 1."""

ABOUT_FILE = "patlm_style.json"
"""Marks a folder of ours, and holds what it was trained on."""

WEIGHTS_FILE = "model.safetensors"

BATCH_SIZE = 256

QUICK_CHARACTERS = 400
"""Characters of all texts up to which encoding them takes about half a ms."""

_DAMAGED = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError),
    SafetensorError,
)
FEATURES = hashlib.sha256("\n".join((*NAMES, str(SHAPE_BINS))).encode()).hexdigest()[:12]
"""Fingerprint of the features that this version counts."""

_LANGUAGES = 2  # Portuguese, and all others

Rows: TypeAlias = NDArray[np.float32]
Counts: TypeAlias = Mapping[str, NDArray[Any]]
Count: TypeAlias = Callable[[Sequence[str]], Counts]
"""A function like `count_texts`, for example with a cache."""


def count_texts(texts: Sequence[str]) -> Counts:
    """Count the features of texts, one row each, without statistics.

    Returns:
        `shares` (n, shares), `counted` and `seen` (n, counted features), `shapes` (n, bins),
        `language` (n,).
    """
    counts = [count_style(text) for text in texts]
    return {
        "shares": np.array([count.shares for count in counts], np.float32),
        "counted": np.array([count.counted for count in counts], np.float32),
        "seen": np.array([count.seen for count in counts], np.float32),
        "shapes": np.array([shape_ngrams(text, SHAPE_BINS) for text in texts], np.float32),
        "language": np.array([is_portuguese(text) for text in texts], np.int64),
    }


@dataclass(frozen=True, eq=False)
class StyleFeatures:
    """Count features and centre them, by statistics measured once on some texts.

    Attributes:
        usual: Usual rates by language, shape (2, counted features).
        mean: Means by language, shape (2, features).
        spread: Standard deviations by language, shape (2, features).
        count: Counts texts; may have a cache.
    """

    usual: Rows
    mean: Rows
    spread: Rows
    count: Count = count_texts

    @classmethod
    def measure(cls, texts: Sequence[str], count: Count = count_texts) -> StyleFeatures:
        """Take the statistics from some texts, whoever wrote them.

        Args:
            texts: Some thousands; see `LEAST_TEXTS`.
            count: Counts texts; may have a cache.
        """
        counted = count(texts)
        languages = []
        for language in range(_LANGUAGES):
            own = np.flatnonzero(counted["language"] == language)
            chosen = own if len(own) >= LEAST_TEXTS else np.arange(len(texts))
            languages.append(_statistics({name: rows[chosen] for name, rows in counted.items()}))
        usual, mean, spread = (np.stack(each) for each in zip(*languages, strict=True))
        return cls(usual, mean, spread, count)

    def centred(self, texts: Sequence[str]) -> Rows:
        """Return features in spreads from the mean of the text's language, shape (n, features)."""
        counted = self.count(texts)
        language = counted["language"]
        rows = _rates(counted, self.usual[language])
        distances: Rows = (rows - self.mean[language]) / self.spread[language]
        return distances.clip(-CLIP, CLIP)


def _statistics(counted: Counts) -> tuple[Rows, Rows, Rows]:
    seen = counted["seen"].sum(0, dtype=np.float64).clip(min=1.0)
    usual = (counted["counted"].sum(0, dtype=np.float64) / seen).astype(np.float32)
    rows = _rates(counted, usual)
    mean: Rows = rows.mean(0, dtype=np.float64).astype(np.float32)
    spread: Rows = rows.std(0, dtype=np.float64).astype(np.float32)
    return usual, mean, spread.clip(min=LEAST_SPREAD)


def _rates(counted: Counts, usual: Rows) -> Rows:
    """Return all features uncentred, the counted ones as in `StyleCounts.rates`."""
    prior = PRIOR.astype(np.float32)
    rates = (counted["counted"] + prior * usual) / (counted["seen"] + prior)
    features: Rows = np.concatenate([counted["shares"], np.sqrt(rates), counted["shapes"]], axis=1)
    return features


def group_log_weights() -> Rows:
    """Return the untrained weights (`GROUP_WEIGHTS`, `SHAPE_WEIGHT`) as logarithms."""
    weights = np.concatenate([GROUP_WEIGHTS, np.full(SHAPE_BINS, SHAPE_WEIGHT)])
    logarithms: Rows = np.log(weights).astype(np.float32)
    return logarithms


class StyleEncoder:
    """Our model as a `stores.types.Encoder`.

    The weight of feature i is exp(log_weights[i]): always positive, with relative training steps.

    Attributes:
        features: Counts and centres features.
        log_weights: Logarithm of each feature's weight, shape (features,).
    """

    def __init__(self, features: StyleFeatures, log_weights: Rows | None = None) -> None:
        """Take statistics and weights.

        Args:
            features: Counts and centres features.
            log_weights: None: those of the feature groups.
        """
        self.features = features
        self.log_weights = group_log_weights() if log_weights is None else log_weights
        self._weights = np.exp(self.log_weights)
        self._version = f"patlm-style@{_fingerprint(features, self.log_weights)}/fp32"

    @classmethod
    def untrained(cls, texts: Sequence[str], count: Count = count_texts) -> StyleEncoder:
        """Return the training-free form: statistics of some texts, weights of feature groups.

        Args:
            texts: Some thousands, whoever wrote them.
            count: As for `StyleFeatures`.
        """
        return cls(StyleFeatures.measure(texts, count))

    @property
    def version(self) -> str:
        """Name, content hash of statistics and weights, and number format."""
        return self._version

    @property
    def dimension(self) -> int:
        """Length of one vector."""
        return len(self.log_weights)

    def is_quick(self, texts: Sequence[str]) -> bool:
        """Return whether `encode` takes about half a ms at most, so that no thread is needed."""
        return sum(map(len, texts)) <= QUICK_CHARACTERS

    def encode(self, texts: Sequence[str]) -> Rows:
        """Return one unit row a text, shape (len(texts), dimension). Blocks."""
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for begin in range(0, len(texts), BATCH_SIZE):
            at = slice(begin, begin + BATCH_SIZE)
            rows[at] = self.features.centred(texts[at]) * self._weights
        units: Rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return units

    @staticmethod
    def load(path: str) -> StyleEncoder | SentenceEncoder:
        """Load ours from a folder, or any published encoder by folder or hub id.

        Args:
            path: What `save` wrote, or a sentence-transformers model.

        Raises:
            ModelNotFound: Nothing is there, or the extra [local] is missing for a published one.
            ModelUnusable: It counts other features than this version of patlm does.
        """
        folder = Path(path)
        if not (folder / ABOUT_FILE).is_file():
            return load_sentence_encoder(path, name=path, local=folder.is_dir())
        try:
            weights = sorted(folder.rglob("*.safetensors"))
            files = {str(each): each.read_bytes() for each in (folder / ABOUT_FILE, *weights)}
        except OSError as error:
            raise _not_whole(path, error) from error
        return _read(path, files)

    def save(self, folder: Path, about: Mapping[str, Any] | None = None) -> None:
        """Write the model: its weights, and a file about it.

        Args:
            folder: Made if missing.
            about: What it was trained on, for people and `patlm doctor`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files(about).items():
            (folder / name).write_bytes(content)

    def files(self, about: Mapping[str, Any] | None = None) -> dict[str, bytes]:
        """Return the files of `save` by relative path, to store them elsewhere.

        Args:
            about: As for `save`.
        """
        tensors = {
            "usual": self.features.usual,
            "mean": self.features.mean,
            "spread": self.features.spread,
            "log_weights": self.log_weights,
        }
        told = json.dumps({**(about or {}), "features": FEATURES}, indent=2) + "\n"
        return {ABOUT_FILE: told.encode(), WEIGHTS_FILE: save(tensors)}

    @staticmethod
    def from_files(files: Mapping[str, bytes]) -> StyleEncoder:
        """Return the encoder of these `files`.

        Raises:
            ModelNotFound: They are incomplete.
            ModelUnusable: It counts other features than this version of patlm does.
        """
        return _read("the store", files)


def _read(where: str, files: Mapping[str, bytes]) -> StyleEncoder:
    """Read the files of `StyleEncoder.files`.

    Tensors may lie in several files: older versions wrote the weights into one of their own.
    """
    try:
        about = next(content for name, content in files.items() if name.endswith(ABOUT_FILE))
        made_for = json.loads(about).get("features")
        if made_for != FEATURES:
            raise ModelUnusable(
                f"the style encoder of {where} counts other features ({made_for}) than this "
                f"version of patlm ({FEATURES}): train it again with `patlm train-encoder`",
                code="other_features",
            )
        tensors: dict[str, Rows] = {}
        for name, content in files.items():
            tensors |= load(content) if name.endswith(".safetensors") else {}
        features = StyleFeatures(tensors["usual"], tensors["mean"], tensors["spread"])
        dimension = len(NAMES) + SHAPE_BINS
        shapes = [each.shape for each in (features.usual, features.mean, tensors["log_weights"])]
        expected = [(_LANGUAGES, len(NAMES) - SHARES), (_LANGUAGES, dimension), (dimension,)]
        if shapes != expected or features.spread.shape != features.mean.shape:
            raise ValueError(f"expected tensors of shapes {expected}, got {shapes}")
    except (*_DAMAGED, StopIteration) as error:
        raise _not_whole(where, error) from error
    return StyleEncoder(features, tensors["log_weights"])


def _not_whole(where: str, error: Exception) -> ModelNotFound:
    return ModelNotFound(
        f"the style encoder of {where} is not whole ({error}): train it again with "
        "`patlm train-encoder`",
        code="damaged_model",
    )


def _fingerprint(features: StyleFeatures, log_weights: Rows) -> str:
    """Return 12 hex digits over names, shapes and bytes; part of the version kept in stores."""
    tensors = {
        "0.mean": features.mean,
        "0.spread": features.spread,
        "0.usual": features.usual,
        "1.log_weights": log_weights,
    }
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tensor.shape}".encode())
        digest.update(np.ascontiguousarray(tensor, np.float32).tobytes())
    return digest.hexdigest()[:12]
