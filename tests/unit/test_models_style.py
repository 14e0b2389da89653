"""The fixed style encoder: what it counts, and what makes it usable for search."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from patlm.models.char_ngrams import hash_ngrams
from patlm.models.style_baseline import StyleBaseline
from patlm.models.style_constants import ENGLISH, PORTUGUESE
from patlm.models.style_encoder import FixedStyleEncoder
from patlm.models.style_features import (
    GROUP_WEIGHTS,
    NAMES,
    SHARES,
    count_style,
    is_portuguese,
)

SHOUTER = "LOVE IT!!!  Best strap EVER!!!  Buy it now!!!  You won't regret it!!!"
SHOUTER_TOO = "What a kettle!!!  HOT in a minute!!!  My wife LOVES it!!!"
PLAIN = (
    "The kettle heats the water in about a minute, which is faster than the one that it replaced; "
    "however, the handle, which is made of plastic, becomes rather warm when it is used for long."
)


def counted(text: str, name: str) -> tuple[float, float]:
    place = NAMES.index(name) - SHARES
    counts = count_style(text)
    return float(counts.counted[place]), float(counts.seen[place])


def test_counts_two_spaces_after_a_full_stop() -> None:
    # Three sentence ends; the first is followed by two spaces, the second by one.
    text = "One.  Two. Three."
    assert counted(text, r"end [.!?] {2,}(?=\S)") == (1, 3)


def test_counts_function_words_among_words() -> None:
    # "the" twice among six words; case does not matter.
    assert counted("The cat saw the other cat", "function the") == (2, 6)


def test_rates_of_short_texts_are_drawn_towards_what_is_usual() -> None:
    # Words start with 20 pseudo-observations: (2 + 20 * 0.1) / (6 + 20) = 4 / 26.
    usual = np.full(len(NAMES) - SHARES, 0.1)
    rates = count_style("The cat saw the other cat").rates(usual)
    assert rates[NAMES.index("function the")] == pytest.approx(np.sqrt(4 / 26))


def test_every_feature_has_a_name_a_weight_and_constants() -> None:
    assert len(set(NAMES)) == len(NAMES) == len(GROUP_WEIGHTS)
    for baseline in (ENGLISH, PORTUGUESE):
        assert len(baseline.mean) == len(baseline.spread) == len(NAMES)
        assert len(baseline.usual) == len(NAMES) - SHARES
        assert (baseline.spread > 0).all() and (baseline.ngram_spread > 0).all()


def test_vectors_are_unit_rows_of_128() -> None:
    encoder = FixedStyleEncoder()
    texts = [SHOUTER, PLAIN, "", "   \n", "👍", "a", "Ótimo produto, recomendo a todos.", "\ud800"]
    vectors = encoder.encode(texts)
    assert vectors.shape == (len(texts), encoder.dimension) == (len(texts), 128)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert encoder.encode([]).shape == (0, 128)


def test_same_habits_are_closer_than_the_same_topic() -> None:
    shouter, shouter_too, plain = FixedStyleEncoder().encode([SHOUTER, SHOUTER_TOO, PLAIN])
    # The second and third are both about a kettle.
    assert shouter @ shouter_too > 0.5 > 0.2 > shouter_too @ plain


def test_white_space_as_written_is_part_of_style() -> None:
    one, two = FixedStyleEncoder().encode(["It works. I like it.", "It works.  I like it."])
    assert one @ two < 0.9


def test_portuguese_is_compared_with_portuguese() -> None:
    text = "O produto é muito bom, mas a entrega não foi no prazo que eles prometeram."
    assert is_portuguese(text) and not is_portuguese(PLAIN) and not is_portuguese("ok")
    # Compared with English, every function word of it would stick out and hide the person.
    as_english = np.abs((count_style(text).rates(ENGLISH.usual) - ENGLISH.mean) / ENGLISH.spread)
    own = np.abs((count_style(text).rates(PORTUGUESE.usual) - PORTUGUESE.mean) / PORTUGUESE.spread)
    assert own.mean() < as_english.mean() / 2


def test_another_process_gives_the_same_vectors() -> None:
    code = (
        "import sys; from patlm.models.style_encoder import FixedStyleEncoder as E; "
        f"sys.stdout.buffer.write(E().encode([{SHOUTER!r}, {PLAIN!r}]).tobytes())"
    )
    salted = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run([sys.executable, "-c", code], env=salted, capture_output=True, check=True)
    theirs = np.frombuffer(done.stdout, dtype=np.float32).reshape(2, 128)
    np.testing.assert_array_equal(theirs, FixedStyleEncoder().encode([SHOUTER, PLAIN]))


def test_ngram_hashes_are_pinned() -> None:
    # One character: one n-gram of length 1, so a single signed one. Its bin may never move, or
    # stored vectors of the same version would no longer compare.
    vector = hash_ngrams("a", 46)
    assert np.flatnonzero(vector).tolist() == [43]
    assert vector[43] == 1.0


def test_measure_centres_its_own_texts() -> None:
    texts = [SHOUTER, SHOUTER_TOO, PLAIN, "Fine. Works."]
    baseline = StyleBaseline.measure(texts, ngram_bins=8)
    features = np.array([count_style(text).rates(baseline.usual) for text in texts])
    np.testing.assert_allclose(features.mean(axis=0), baseline.mean)
    # Pooled over texts: exclamation marks over characters.
    marks = sum(text.count("!") for text in texts) / sum(map(len, texts))
    assert baseline.usual[NAMES.index("char !") - SHARES] == pytest.approx(marks)


def test_five_hundred_texts_a_second() -> None:
    texts = [f"{PLAIN} {SHOUTER} {i}" for i in range(200)]
    encoder = FixedStyleEncoder()
    started = time.process_time()  # other work on the machine does not count
    encoder.encode(texts)
    assert len(texts) / (time.process_time() - started) >= 500
