"""Metrics of drafts: against the libraries called on their own, and by hand."""

from pathlib import Path

import pytest
from nltk.tokenize import wordpunct_tokenize
from nltk.translate.meteor_score import meteor_score
from patlm.evaluation.scores import metrics
from patlm.stores.values import RatingScale
from raising import raises
from rouge_score.rouge_scorer import RougeScorer

CASES = [
    ("The room was clean and the staff was kind.", "The staff was kind, the room small."),
    ("It's great! I LOVE it...", "i love it, it's great"),
    ("A fine view.", "Nothing of that kind"),
    ("Não gostei do produto, veio quebrado.", "O produto veio quebrado e não gostei"),
    ("one two three four five", "five four three two one one one"),
]


class NoSynsets:
    def synsets(self, word: str) -> list[object]:
        return []


@pytest.mark.parametrize(("real", "draft"), CASES)
def test_rouge_is_that_of_rouge_score(real: str, draft: str) -> None:
    expected = RougeScorer(["rouge1", "rougeL"], use_stemmer=False).score(real, draft)
    found = metrics.rouge(real, draft)
    assert found == {name: pytest.approx(score.fmeasure) for name, score in expected.items()}
    assert metrics.rouge1(real, draft) == found["rouge1"]


@pytest.mark.parametrize(("real", "draft"), CASES)
def test_meteor_es_is_that_of_nltk_without_synonyms(real: str, draft: str) -> None:
    expected = meteor_score(
        [wordpunct_tokenize(real)], wordpunct_tokenize(draft), wordnet=NoSynsets()
    )
    assert metrics.meteor_es(real, draft) == pytest.approx(expected)


def test_meteor_es_by_hand() -> None:
    # P = 1, R = 1/2: F = PR / (.9 P + .1 R) = .5 / .95; one chunk of two: penalty .5 (1/2)³.
    assert metrics.meteor_es("a b c d", "a b") == pytest.approx(0.5 / 0.95 * (1 - 0.0625))
    # All five match in two chunks: F = 1, penalty .5 (2/5)³ = .032.
    assert metrics.meteor_es("we liked the old inn", "the old inn we liked") == pytest.approx(0.968)
    # "like" and "liked" have one stem, "room" and "rooms" too: one chunk of three.
    assert metrics.meteor_es("We like rooms", "we liked room") == pytest.approx(1 - 0.5 / 27)
    # Synonyms are no match.
    assert metrics.meteor_es("couch", "sofa") == 0


def test_quality_is_the_mean_of_the_three() -> None:
    found = metrics.Draft(*CASES[0])
    parts = (found.rouge["rouge1"], found.rouge["rougeL"], found.meteor_es)
    assert found.quality == pytest.approx(sum(parts) / 3)


@pytest.mark.parametrize("draft", ["", "  \n", "...", "🎸"])
def test_a_draft_without_words_is_worth_nothing(draft: str) -> None:
    found = metrics.measure("long", metrics.Draft("A fine view", draft))
    assert set(found) >= {"quality", "rouge1", "rougeL", "meteor_es", "copy_rate"}
    assert not any(value for name, value in found.items() if name != "length")
    assert metrics.copied_run(draft, ["A fine view"]) == 0
    assert metrics.copy_rate("", ["A fine view"]) == 0


def rated(real: float, draft: str, scale: str = "1-5") -> dict[str, float]:
    on = RatingScale.parse(scale)
    return metrics.measure("rating", metrics.Draft(f"{real:g}", draft, scale=on))


def test_ratings_by_hand() -> None:
    assert rated(5, "3") == {"agreement": 0.5, "mae": 2.0, "rmse": 2.0, "unparsable": 0.0}
    assert rated(1, "5")["agreement"] == 0
    assert rated(4.5, " 4.5\n")["mae"] == 0
    assert metrics.root_mean_square([2.0, 0.0, 5**0.5]) == pytest.approx(3**0.5)


@pytest.mark.parametrize("draft", ["", "good", "5/5", "0", "5.1", "nan", "inf", "-3"])
def test_what_is_no_rating_is_counted_and_not_scored(draft: str) -> None:
    assert rated(4, draft) == {"agreement": 0.0, "unparsable": 1.0}


@pytest.mark.parametrize(
    ("scale", "real", "draft", "mae", "agreement"),
    [
        ("0-10", 8, "3", 5.0, 0.5),
        ("0-10", 10, "0", 10.0, 0.0),
        ("1-10", 8, "9", 1.0, 1 - 1 / 9),
        ("0-100", 80, "75", 5.0, 0.95),
        ("0.5-5", 0.5, "5", 4.5, 0.0),
    ],
)
def test_errors_are_measured_on_the_scale_of_the_data(
    scale: str, real: float, draft: str, mae: float, agreement: float
) -> None:
    found = rated(real, draft, scale)
    assert (found["mae"], found["unparsable"]) == (mae, 0)
    assert found["agreement"] == pytest.approx(agreement, abs=1e-6)


@pytest.mark.parametrize(
    ("scale", "draft"), [("0-10", "11"), ("0-10", "-1"), ("1-10", "0"), ("1-5", "8"), ("2-3", "1")]
)
def test_what_is_outside_the_scale_is_no_rating(scale: str, draft: str) -> None:
    assert rated(3, draft, scale) == {"agreement": 0.0, "unparsable": 1.0}


def test_copied_run_by_hand() -> None:
    texts = ["I say the view is grand.", "the “view”… is small, and dark"]
    assert metrics.copied_run("The view is grand, really", texts) == 4
    assert metrics.copied_run("The view is small. And bright!", texts) == 5
    assert metrics.copied_run("is view the", texts) == 1
    assert metrics.copied_run("The view", []) == 0


SYNSET = "00000000 06 n 02 couch 0 sofa 0 000 | a seat"
WORDNET = {
    "data.noun": f"{SYNSET}\n",
    "index.noun": "couch n 1 0 1 0 00000000\nsofa n 1 0 1 0 00000000\n",
    "lexnames": "".join(f"{at:02}\tname{at}\t1\n" for at in range(45)),
}


def test_meteor_reads_a_wordnet_folder_and_knows_synonyms(tmp_path: Path) -> None:
    for kind in ("noun", "verb", "adj", "adv"):
        for name in (f"data.{kind}", f"index.{kind}", f"{kind}.exc"):
            (tmp_path / name).write_text("")
    for name, content in WORDNET.items():
        (tmp_path / name).write_text(content)
    # One match in one chunk: F = 1, penalty .5.
    assert metrics.meteor("couch", "sofa", tmp_path) == pytest.approx(0.5)
    assert metrics.meteor("couch", "table", tmp_path) == 0


def test_meteor_says_that_there_is_no_wordnet(tmp_path: Path) -> None:
    with raises(FileNotFoundError, None, tmp_path):
        metrics.meteor("couch", "sofa", tmp_path)
