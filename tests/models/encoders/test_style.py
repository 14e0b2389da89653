"""The style encoder: what it counts, keeps and refuses, and what older versions wrote."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_up_people import people
from patlm.models.encoders.style import (
    ABOUT_FILE,
    SHAPE_BINS,
    WEIGHTS_FILE,
    StyleEncoder,
    StyleFeatures,
    group_log_weights,
)
from patlm.models.encoders.style_features import NAMES, shape_of
from patlm.models.errors import ModelNotFound, ModelUnusable
from raising import raises

OLDER = Path(__file__).parents[2] / "data" / "style-encoder-on-torch"

BODIES = [text.body for text in people()]
ODD = ["", "  \n", "👍", "a", "Ótimo produto, recomendo a todos.", "\ud800", "x" * 30_000]


@pytest.fixture(scope="module")
def encoder() -> StyleEncoder:
    return StyleEncoder.untrained(BODIES)


def test_a_shape_keeps_how_a_text_is_written_and_not_what_of() -> None:
    assert shape_of("I paid $20 -- not  bad.") == "A a $9 -- a  a."
    assert shape_of("É caro") == "A a"


def test_rows_have_length_one_whatever_the_text(encoder: StyleEncoder) -> None:
    rows = encoder.encode([*ODD, *BODIES[:3]])
    assert rows.shape == (len(ODD) + 3, encoder.dimension)
    assert encoder.dimension == len(NAMES) + SHAPE_BINS == 256
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    assert encoder.encode([]).shape == (0, 256)


def test_a_text_has_one_vector_whoever_is_beside_it(encoder: StyleEncoder) -> None:
    together = encoder.encode(BODIES)
    alone = np.concatenate([encoder.encode([body]) for body in BODIES[:8]])
    np.testing.assert_allclose(together[:8], alone, atol=1e-6)


def test_what_is_saved_comes_back(encoder: StyleEncoder, tmp_path: Path) -> None:
    changed = group_log_weights() + np.arange(256, dtype=np.float32) / 100
    own = StyleEncoder(encoder.features, changed)
    own.save(tmp_path / "deep" / "style", {"authors": 7})
    for loaded in (
        StyleEncoder.load(str(tmp_path / "deep" / "style")),
        StyleEncoder.from_files(own.files()),
    ):
        assert loaded.version == own.version != encoder.version
        np.testing.assert_array_equal(loaded.encode(BODIES), own.encode(BODIES))
    assert json.loads((tmp_path / "deep" / "style" / ABOUT_FILE).read_text())["authors"] == 7


def test_what_an_older_version_computed_with_torch_is_computed_now() -> None:
    """Stores that were filled before name this version, and hold these vectors."""
    loaded = StyleEncoder.load(str(OLDER))
    assert loaded.version == (OLDER / "version.txt").read_text("utf-8").strip()
    expected = np.load(OLDER / "vectors.npy")
    np.testing.assert_allclose(loaded.encode([*BODIES[:8], *ODD[:5]]), expected, atol=1e-6)


def test_statistics_are_those_that_torch_gave() -> None:
    older = StyleEncoder.load(str(OLDER))
    assert isinstance(older, StyleEncoder)
    now = StyleFeatures.measure(BODIES)
    for name in ("usual", "mean", "spread"):
        theirs = getattr(older.features, name)
        np.testing.assert_allclose(getattr(now, name), theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("content", [b"cut off", b""])
def test_a_folder_that_is_not_whole_is_told(
    encoder: StyleEncoder, tmp_path: Path, content: bytes
) -> None:
    encoder.save(tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(content)
    with raises(ModelNotFound, "damaged_model", tmp_path, "patlm train-encoder"):
        StyleEncoder.load(str(tmp_path))


def test_files_without_weights_are_told(encoder: StyleEncoder) -> None:
    files = {name: content for name, content in encoder.files().items() if name == ABOUT_FILE}
    with raises(ModelNotFound, "damaged_model"):
        StyleEncoder.from_files(files)


def test_features_of_another_version_are_refused(encoder: StyleEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    (tmp_path / ABOUT_FILE).write_text('{"features": "0123"}')
    with raises(ModelUnusable, "other_features", "0123", "patlm train-encoder"):
        StyleEncoder.load(str(tmp_path))
