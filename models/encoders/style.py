"""The style encoder as a sentence-transformers model: ours, or a published one.

Ours has two modules: `StyleFeatures` counts how texts are written and centres the counts by
language; `FeatureWeights` weighs each feature. Untrained, the weights are those of the feature
groups, so that both forms are one model. A folder that `StyleEncoder.save` wrote is loaded here by
hand, because sentence-transformers would ask for `trust_remote_code` before it imports modules of
others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule, Module

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

BATCH_SIZE = 256

_DAMAGED = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError)
FEATURES = hashlib.sha256("\n".join((*NAMES, str(SHAPE_BINS))).encode()).hexdigest()[:12]
"""Fingerprint of the features that this version counts."""

_LANGUAGES = 2  # Portuguese, and all others


class _SavedModule(Module):
    """A module that is saved as its tensors."""

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the tensors as safetensors."""
        self.save_config(output_path)
        self.save_torch_weights(output_path)

    @classmethod
    def load(  # type: ignore[override]  # only loads from a folder
        cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any
    ) -> Self:
        """Read what `save` wrote."""
        module = cls()
        module.load_torch_weights(
            model_name_or_path, subfolder=subfolder, local_files_only=True, model=module
        )
        return module


def count_texts(texts: Sequence[str]) -> dict[str, torch.Tensor]:
    """Count the features of texts, one row each, without statistics.

    Returns:
        `shares` (n, shares), `counted` and `seen` (n, counted features), `shapes` (n, bins),
        `language` (n,).
    """
    counts = [count_style(text) for text in texts]
    return {
        "shares": _float32([count.shares for count in counts]),
        "counted": _float32([count.counted for count in counts]),
        "seen": _float32([count.seen for count in counts]),
        "shapes": _float32([shape_ngrams(text, SHAPE_BINS) for text in texts]),
        "language": torch.tensor([int(is_portuguese(text)) for text in texts]),
    }


Count = Callable[[Sequence[str]], dict[str, torch.Tensor]]
"""A function like `count_texts`, for example with a cache."""


class StyleFeatures(_SavedModule, InputModule):
    """Count features and centre them.

    Its statistics are buffers, measured once on some texts and frozen, one row for each language:
    `usual` (2, counted features), `mean` and `spread` (2, features).
    """

    def __init__(self, count: Count = count_texts) -> None:
        """Make one without statistics; `measure` or `load` sets them.

        Args:
            count: Counts texts; may have a cache.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._count = count
        features = len(NAMES) + SHAPE_BINS
        self.register_buffer("usual", torch.zeros(_LANGUAGES, len(NAMES) - SHARES))
        self.register_buffer("mean", torch.zeros(_LANGUAGES, features))
        self.register_buffer("spread", torch.ones(_LANGUAGES, features))

    @classmethod
    def measure(cls, texts: Sequence[str], count: Count = count_texts) -> StyleFeatures:
        """Take the statistics from some texts, whoever wrote them.

        Args:
            texts: Some thousands; see `LEAST_TEXTS`.
            count: As for the constructor.
        """
        features = cls(count)
        counted = features.preprocess(texts)
        whole = torch.arange(len(texts))
        for language in range(_LANGUAGES):
            own = torch.nonzero(counted["language"] == language).flatten()
            chosen = own if len(own) >= LEAST_TEXTS else whole
            features._centre(language, {name: rows[chosen] for name, rows in counted.items()})
        return features

    def _centre(self, language: int, counted: dict[str, torch.Tensor]) -> None:
        seen = counted["seen"].sum(0).clamp(min=1.0)
        self.usual[language] = counted["counted"].sum(0) / seen
        rows = _rates(counted, self.usual[language])
        self.mean[language] = rows.mean(0)
        self.spread[language] = rows.std(0, correction=0).clamp(min=LEAST_SPREAD)

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Count, without statistics.

        Args:
            inputs: Texts.
            prompt: Not used: a prompt has no author.
            kwargs: Not used.

        Returns:
            The counts, see `count_texts`.
        """
        return self._count(inputs)

    def forward(self, features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
        """Add `features`, shape (n, features): in spreads from the mean of the text's language."""
        language = features["language"]
        rows = _rates(features, self.usual[language])
        distances = (rows - self.mean[language]) / self.spread[language]
        return {**features, "features": distances.clamp(-CLIP, CLIP)}


class FeatureWeights(_SavedModule):
    """Weigh each feature and scale the rows to length one.

    The weight of feature i is exp(log_weights[i]): always positive, with relative training steps.
    """

    def __init__(self) -> None:
        """Start from the weights of the groups (`GROUP_WEIGHTS`, `SHAPE_WEIGHT`)."""
        super().__init__()  # type: ignore[no-untyped-call]
        start = np.concatenate([GROUP_WEIGHTS, np.full(SHAPE_BINS, SHAPE_WEIGHT)])
        self.log_weights = torch.nn.Parameter(torch.tensor(np.log(start), dtype=torch.float32))

    def forward(self, features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
        """Add `sentence_embedding`, unit rows of shape (n, features)."""
        return {**features, "sentence_embedding": self.weigh(features["features"])}

    def weigh(self, rows: torch.Tensor) -> torch.Tensor:
        """Return unit rows of centred features, both of shape (n, features)."""
        return torch.nn.functional.normalize(rows * self.log_weights.exp(), dim=1)

    def get_embedding_dimension(self) -> int:
        """Length of one vector."""
        return len(self.log_weights)


def _rates(counted: dict[str, torch.Tensor], usual: torch.Tensor) -> torch.Tensor:
    """Return all features uncentred, the counted ones as in `StyleCounts.rates`."""
    prior = torch.tensor(PRIOR, dtype=usual.dtype, device=usual.device)
    rates = (counted["counted"] + prior * usual) / (counted["seen"] + prior)
    return torch.cat([counted["shares"], rates.sqrt(), counted["shapes"]], dim=1)


def _float32(rows: Sequence[NDArray[np.float64]]) -> torch.Tensor:
    return torch.from_numpy(np.array(rows, dtype=np.float32))


class StyleEncoder(SentenceEncoder):
    """Our model as a `stores.types.Encoder`.

    Attributes:
        features: Counts and centres features.
        weights: Weighs them.
    """

    def __init__(self, features: StyleFeatures, weights: FeatureWeights) -> None:
        """Join the modules, on the CPU: they count characters."""
        self.features, self.weights = features, weights
        model = SentenceTransformer(modules=[features, weights], device="cpu")
        super().__init__(model, name="patlm-style", max_tokens=None, batch_size=BATCH_SIZE)

    @classmethod
    def untrained(cls, texts: Sequence[str], count: Count = count_texts) -> StyleEncoder:
        """Return the training-free form: statistics of some texts, weights of feature groups.

        Args:
            texts: Some thousands, whoever wrote them.
            count: As for `StyleFeatures`.
        """
        return cls(StyleFeatures.measure(texts, count), FeatureWeights())

    @staticmethod
    def load(path: str) -> SentenceEncoder:
        """Load ours from a folder, or any published encoder by folder or hub id.

        Args:
            path: What `save` wrote, or a sentence-transformers model.

        Raises:
            ModelNotFound: Nothing is there.
            ModelUnusable: It counts other features than this version of patlm does.
        """
        folder = Path(path)
        if (folder / ABOUT_FILE).is_file():
            return _load_ours(folder)
        return load_sentence_encoder(path, name=path, local=folder.is_dir())

    def save(self, folder: Path, about: Mapping[str, Any] | None = None) -> None:
        """Write the model in the layout of sentence-transformers.

        Args:
            folder: Made if missing.
            about: What it was trained on, for people and `patlm doctor`.
        """
        self._model.save(str(folder), create_model_card=False)
        kept = {**(about or {}), "features": FEATURES}
        (folder / ABOUT_FILE).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")

    def files(self, about: Mapping[str, Any] | None = None) -> dict[str, bytes]:
        """Return the files of `save` by relative path, to store them elsewhere.

        Args:
            about: As for `save`.
        """
        with TemporaryDirectory() as folder:
            self.save(Path(folder), about)
            paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    @staticmethod
    def from_files(files: Mapping[str, bytes]) -> StyleEncoder:
        """Return the encoder of these `files`.

        Raises:
            ModelNotFound: They are incomplete.
            ModelUnusable: It counts other features than this version of patlm does.
        """
        with TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return _load_ours(Path(folder))


def _load_ours(folder: Path) -> StyleEncoder:
    try:
        about = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
        made_for = about.get("features")
        if made_for != FEATURES:
            raise ModelUnusable(
                f"the style encoder at {folder} counts other features ({made_for}) than this "
                f"version of patlm ({FEATURES}): train it again with `patlm train-encoder`"
            )
        paths = [each["path"] for each in json.loads((folder / "modules.json").read_text("utf-8"))]
        features = StyleFeatures.load(str(folder), subfolder=paths[0])
        weights = FeatureWeights.load(str(folder), subfolder=paths[1])
    except (*_DAMAGED, SafetensorError) as error:
        raise ModelNotFound(
            f"the style encoder at {folder} is not whole ({error}): train it again with "
            "`patlm train-encoder`"
        ) from error
    return StyleEncoder(features, weights)
