"""A style encoder as a sentence-transformers model: ours, or a published one.

Ours is `StyleFeatures` and `FeatureWeights` in a row (`style_modules`). A folder that
`StyleEncoder.save` wrote is put together here by hand: sentence-transformers itself would ask for
`trust_remote_code` before it imports modules that are not its own.

The style encoder's modules, in the form that sentence-transformers puts in a row.

`StyleFeatures` counts how texts are written and centres the counts on what is ordinary in their
language; `FeatureWeights` says how much each feature tells of a person. Before any training the
weights are those of the feature groups, so that both forms are one model.
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
"""Dimensions of the hashed n-grams; with the counted features they make 256."""

LEAST_TEXTS = 200
"""A language with fewer texts is centred on what is ordinary in all of them together."""

LEAST_SPREAD = 0.02
"""Least spread of a feature: rare traits would otherwise outweigh all others where they occur."""

CLIP = 4.0
"""Features further from the mean than this many spreads count as this far."""

SHAPE_WEIGHT = 0.25
"""Of a bin of the n-grams, beside about 1 for a counted feature, before training."""

_LANGUAGES = 2  # Portuguese, and all others


class _Kept(Module):
    """A module that all of its tensors make: what it is saved as and loaded from."""

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the tensors as safetensors."""
        self.save_config(output_path)
        self.save_torch_weights(output_path)

    @classmethod
    def load(  # type: ignore[override]  # a folder is all that it is read from
        cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any
    ) -> Self:
        """Read what `save` wrote."""
        module = cls()
        module.load_torch_weights(
            model_name_or_path, subfolder=subfolder, local_files_only=True, model=module
        )
        return module


def count_texts(texts: Sequence[str]) -> dict[str, torch.Tensor]:
    """Count the features of texts, one row each, without looking at any statistics.

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
"""Does what `count_texts` does."""


class StyleFeatures(_Kept, InputModule):
    """Count and centre.

    Its statistics are buffers, measured once on some texts and frozen, one row a language:
    `usual` (2, counted features), `mean` and `spread` (2, features).
    """

    def __init__(self, count: Count = count_texts) -> None:
        """Make one whose statistics are still to be measured or loaded.

        Args:
            count: Counts texts; may be one that remembers what it has counted.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._count = count
        features = len(NAMES) + SHAPE_BINS
        self.register_buffer("usual", torch.zeros(_LANGUAGES, len(NAMES) - SHARES))
        self.register_buffer("mean", torch.zeros(_LANGUAGES, features))
        self.register_buffer("spread", torch.ones(_LANGUAGES, features))

    @classmethod
    def measure(cls, texts: Sequence[str], count: Count = count_texts) -> StyleFeatures:
        """Take the statistics from some texts; who wrote them is not looked at.

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
        """Count, without looking at any statistics.

        Args:
            inputs: Texts.
            prompt: Not used: what a prompt says is nobody's style.
            kwargs: Not used.

        Returns:
            What `count_texts` does.
        """
        return self._count(inputs)

    def forward(self, features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
        """Add `features`, shape (n, features): in spreads from the mean of the text's language."""
        language = features["language"]
        rows = _rates(features, self.usual[language])
        distances = (rows - self.mean[language]) / self.spread[language]
        return {**features, "features": distances.clamp(-CLIP, CLIP)}


class FeatureWeights(_Kept):
    """Weigh each feature and scale the rows to length one.

    The weight of feature i is exp(log_weights[i]): always positive, and a step of training is a
    share of it.
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


ABOUT_FILE = "patlm_style.json"
"""Tells a folder of ours from others, and what it was trained on."""

BATCH_SIZE = 256

_DAMAGED = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError)
FEATURES = hashlib.sha256("\n".join((*NAMES, str(SHAPE_BINS))).encode()).hexdigest()[:12]
"""Tells encoders apart that count other things."""


class StyleEncoder(SentenceEncoder):
    """Our model as a `stores.records.Encoder`.

    Attributes:
        features: What is counted, and centred on what is ordinary.
        weights: What each feature counts for.
    """

    def __init__(self, features: StyleFeatures, weights: FeatureWeights) -> None:
        """Put the modules in a row, on the CPU: they count characters."""
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
            folder: Made where it is missing.
            about: What it was trained on, for people and `patlm doctor`.
        """
        self._model.save(str(folder), create_model_card=False)
        kept = {**(about or {}), "features": FEATURES}
        (folder / ABOUT_FILE).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")

    def files(self, about: Mapping[str, Any] | None = None) -> dict[str, bytes]:
        """Return what `save` would write, by relative path: to be kept elsewhere than in a folder.

        Args:
            about: As for `save`.
        """
        with TemporaryDirectory() as folder:
            self.save(Path(folder), about)
            paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    @staticmethod
    def from_files(files: Mapping[str, bytes]) -> StyleEncoder:
        """Return the encoder that `files` were of.

        Raises:
            ModelNotFound: They are not whole.
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
