"""A style encoder as a sentence-transformers model: ours, or a published one.

Ours is `StyleFeatures` and `FeatureWeights` in a row (`style_modules`). A folder that
`StyleEncoder.save` wrote is put together here by hand: sentence-transformers itself would ask for
`trust_remote_code` before it imports modules that are not its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer

from .errors import ModelNotFound, ModelUnusable
from .sentence_encoder import SentenceEncoder, load_sentence_encoder
from .style_features import NAMES
from .style_modules import SHAPE_BINS, Count, FeatureWeights, StyleFeatures, count_texts

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
