"""What is counted of a text's style, and what comes of it in the training-free encoder."""

import os
import subprocess
import sys

import numpy as np
import pytest
from patlm.models.encoders.style import StyleEncoder
from patlm.models.encoders.style_features import (
    NAMES,
    SHARES,
    count_style,
    hash_ngrams,
    is_portuguese,
)
from patlm.stores import Text, read_texts, sample_corpus

SHOUTER = "LOVE IT!!!  Best strap EVER!!!  Buy it now!!!  You won't regret it!!!"
SHOUTER_TOO = "What a kettle!!!  HOT in a minute!!!  My wife LOVES it!!!"
PLAIN = (
    "The kettle heats the water in about a minute, which is faster than the one that it replaced; "
    "however, the handle, which is made of plastic, becomes rather warm when it is used for long."
)


def sample_encoder() -> StyleEncoder:
    rows = read_texts(sample_corpus())
    return StyleEncoder.untrained([row.body for row in rows if isinstance(row, Text)])


@pytest.fixture(scope="module")
def encoder() -> StyleEncoder:
    return sample_encoder()


def counted(text: str, name: str) -> tuple[float, float]:
    place = NAMES.index(name) - SHARES
    counts = count_style(text)
    return float(counts.counted[place]), float(counts.seen[place])


def test_counts_function_words_among_words() -> None:
    # "the" twice among six words; case does not matter.
    assert counted("The cat saw the other cat", "function the") == (2, 6)


def test_rates_of_short_texts_are_drawn_towards_what_is_usual() -> None:
    # Words start with 20 pseudo-observations: (2 + 20 * 0.1) / (6 + 20) = 4 / 26.
    usual = np.full(len(NAMES) - SHARES, 0.1)
    rates = count_style("The cat saw the other cat").rates(usual)
    assert rates[NAMES.index("function the")] == pytest.approx(np.sqrt(4 / 26))


def test_same_habits_are_closer_than_the_same_topic(encoder: StyleEncoder) -> None:
    shouter, shouter_too, plain = encoder.encode([SHOUTER, SHOUTER_TOO, PLAIN])
    # The second and third are both about a kettle.
    assert shouter @ shouter_too > 0.5 > 0.2 > shouter_too @ plain


def test_white_space_as_written_is_part_of_style(encoder: StyleEncoder) -> None:
    one, two = encoder.encode(["It works. I like it.", "It works.  I like it."])
    assert one @ two < 0.9


def test_portuguese_is_told_from_english() -> None:
    text = "O produto é muito bom, mas a entrega não foi no prazo que eles prometeram."
    assert is_portuguese(text) and not is_portuguese(PLAIN) and not is_portuguese("ok")


def test_another_process_gives_the_same_encoder_and_vectors(encoder: StyleEncoder) -> None:
    code = (
        "import sys, test_style_features as t; e = t.sample_encoder(); "
        "sys.stdout.buffer.write(e.version.encode() + e.encode([t.SHOUTER, t.PLAIN]).tobytes())"
    )
    salted = {**os.environ, "PYTHONHASHSEED": "12345"}
    salted["PYTHONPATH"] = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", code], env=salted, capture_output=True, check=True)
    name = encoder.version.encode()
    assert done.stdout[: len(name)] == name
    theirs = np.frombuffer(done.stdout[len(name) :], dtype=np.float32).reshape(2, -1)
    np.testing.assert_array_equal(theirs, encoder.encode([SHOUTER, PLAIN]))


def test_ngram_hashes_are_pinned() -> None:
    # One character: one n-gram of length 1, so a single signed one. Its bin may never move, or
    # stored vectors of the same version would no longer compare.
    vector = hash_ngrams("a", 46)
    assert np.flatnonzero(vector).tolist() == [43]
    assert vector[43] == 1.0
