"""The report of a benchmark: what is in it, in which words, and that nothing of it can run."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
from patlm.cli.bench import personalization as bench_report
from patlm.evaluation.errors import EvaluationError
from patlm.evaluation.report import text as words
from patlm.evaluation.report.html import interval, number, render, share, signed
from patlm.evaluation.report.page import write_report
from patlm.evaluation.report.plots import plot_gains, plot_histories
from patlm.evaluation.report.records import BrokenResults, Figure, Results, VerdictTest
from report_results import HOSTILE, examples, hostile, results, several_histories, write
from typer.testing import CliRunner

app = typer.Typer()
bench_report.register(app)


class Read(HTMLParser):
    """What is in a page: tags with their attributes, texts, rows of tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.source = page
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self._cell: list[str] | None = None
        self._row: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self._row = []
        if tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self._row.append(" ".join("".join(self._cell).split()))
            self._cell = None
        if tag == "tr" and self._row:
            self.rows.setdefault(self._row[0], []).append(self._row)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._cell is not None:
            self._cell.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(folder: Path, found: dict[str, Any], also: dict[str, Any] | None = None) -> Read:
    return Read(write_report(write(folder, found, also)).read_text())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Read:
    return read(tmp_path_factory.mktemp("plain"), results(), examples())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Four cases, plots over histories, curves."""
    return read(tmp_path_factory.mktemp("whole"), several_histories(), examples())


def test_every_arm_control_and_floor_is_in_both_tables(plain: Read) -> None:
    given, page = results(), plain
    for row in (*given["arms"], *given["floors"]):
        quality, reading = page.rows[row["arm"]]
        assert len(quality) == 11 and len(reading) == 10
    # Mean .167, half an interval .016; gain .019, its Holm interval .011 x 1.45 = .016 either way.
    assert page.rows["both"][0] == [
        "both", "+0.019", "[+0.003, +0.035]", "[+0.002, +0.036]", "0.167 [0.151, 0.183]",
        "0.188", "0.139", "0.174", "0.429", "0.539", "60",
    ]  # fmt: skip
    assert page.rows["both"][1] == [
        "both", "41.2", "12 %", "0 %", "35 %", "style 2,300, pref. 210", "style 100 %, pref. 11 %",
        "3.0", "0", "0",
    ]  # fmt: skip
    assert page.rows["no_context"][0][1:3] == ["baseline", "–"]
    # A floor runs no model: what it does not have is no zero.
    assert page.rows["copy_typical"][1][4:] == ["–", "–", "–", "–", "0", "–"]


def test_verdicts_in_words_with_why(plain: Read) -> None:
    text = plain.text
    assert "Holds All 4 differences lie above zero." in text
    assert (
        "Does not hold aligned − random lies within ±0.01 of zero; "
        "aligned − no_context lies below zero." in text
    )
    assert "Inconclusive Not run: constant." in text
    assert "Random people: above no context, +0.013 [+0.002, +0.024]." in text
    assert "Anti-aligned people: can't be told from no context" in text
    assert "Added to preference_only: +0.004 [−0.004, +0.012]." in text


@pytest.mark.parametrize(
    ("holm", "place"),
    [
        ([0.001, 0.02], "above zero"),
        ([0.001, 0.009], "above zero"),
        ([-0.03, -0.001], "below zero"),
        ([-0.009, 0.009], "within ±0.01 of zero"),
        ([-0.009, 0.02], "on both sides of zero"),
        ([-0.01, 0.009], "on both sides of zero"),
        (None, "without an interval"),
        ([None, 0.1], "without an interval"),
    ],
)
def test_where_a_difference_lies(holm: list[float | None] | None, place: str) -> None:
    assert words.where(VerdictTest(what="a - b", mean=0.0, holm=holm, n=3)) == place


def test_what_cannot_be_told_names_what_is_open(tmp_path: Path) -> None:
    given = results()
    (unsure,) = (each for each in given["verdicts"] if each["side"] == "preference")
    unsure["missing"] = []
    # .003 +-.009 and .004 +-.009 reach from below zero to above .01.
    text = read(tmp_path, given).text
    assert (
        "aligned − random lies on both sides of zero; random − anti lies on both sides of zero."
        in text
    )


def test_the_strongest_floor_and_who_is_above_it() -> None:
    given = Results.model_validate(results())
    said = words.against_the_floor(given.arms, given.floors)
    assert said == "Its mean quality is 0.176; surely above it: no arm; surely below it: no arm."
    over = {
        "merged": (0.024, 0.002, 0.046),
        "both": (-0.01, -0.03, 0.01),
        "oracle_style": (1, 1, 1),
    }
    for arm in given.arms:
        if arm.arm in over:
            mean, low, high = over[arm.arm]
            arm.over_copy_typical = Figure(mean=mean, ci95=[low, high])
    # both can't be told from it, and oracle_style is a control.
    assert words.against_the_floor(given.arms, given.floors) == (
        "Its mean quality is 0.176; surely above it: merged (+0.024 [+0.002, +0.046]); "
        "surely below it: no arm."
    )


def test_controls_that_read_the_same_texts_are_named() -> None:
    # Of the sides that a control replaces, random_preference shares .61; the aligned sides of
    # other controls are shared wholly, as they have to be.
    given = Results.model_validate(results())
    assert words.hardly_differ(given.arms) == [
        "random_preference (preference: 61\xa0% the same, from a pool of 210)"
    ]


def test_what_this_many_targets_can_tell() -> None:
    given = Results.model_validate(results())
    said = words.power(given.arms, given.verdicts)
    assert said is not None and "With 60 targets, a true difference has to be about 0.021," in said
    for verdict in given.verdicts:
        for test in verdict.tests:
            test.least_difference = float("inf")
    assert words.power(given.arms, given.verdicts) is None


def test_ratings_are_told_by_their_own_metrics(whole: Read) -> None:
    rating = whole.rows["both"][-2]
    # MAE 1.1 - .167 = .933 +-.2, RMSE 1.4 - .167, agreement .72 + .019.
    assert rating[4:8] == ["0.933 [0.733, 1.133]", "1.233", "0.739 [0.709, 0.769]", "0.020"]
    assert "gain in agreement over no_context" in whole.text
    assert "lower is better" in whole.text


def test_plots_have_labels_and_ids_of_their_own(whole: Read) -> None:
    page, pictures = whole, whole.all("svg")
    # Gains and buckets of four cases, one plot over histories, one adapter's curves.
    assert len(pictures) == 10
    labels = [picture["aria-label"] for picture in pictures]
    assert all(labels) and len(set(labels)) == 10
    assert all(picture["role"] == "img" for picture in pictures)
    ids = Counter(given["id"] for _, given in page.tags if "id" in given)
    assert [name for name, times in ids.items() if times > 1] == []
    pointers = [given["href"] or "" for _, given in page.tags if "href" in given]
    clips = [given["clip-path"] or "" for _, given in page.tags if "clip-path" in given]
    named = {pointer[1:] for pointer in pointers if pointer.startswith("#")}
    named |= {re.sub(r"url\(#(.*)\)", r"\1", clip) for clip in clips}
    assert len(named) > 20 and named <= set(ids)
    # The arm and the figure are text in the picture.
    assert {"own_history", "−0.107", "own texts known", "reward", "copy rate"} <= set(page.texts)


def test_an_arm_alone_has_one_panel_over_histories() -> None:
    given = Results.model_validate(several_histories())
    arms = [arm for arm in given.arms if arm.arm == "both" and arm.task == "long"]
    picture = Read(str(plot_histories(arms, "p", "one arm")))
    texts = [text for text in picture.texts if text.strip()]
    assert texts.count("all") == texts.count("both") == texts.count("own texts known") == 1
    assert texts.index("0") < texts.index("1") < texts.index("all")
    assert plot_histories([arm for arm in arms if arm.history == "1"], "p", "one") is None


def test_a_hopeless_floor_does_not_squeeze_the_others() -> None:
    given = Results.model_validate(results())
    picture = Read(str(plot_gains([*given.arms, *given.floors], "p", "gains")))
    texts = [text.strip() for text in picture.texts]
    # The scale is that of arms and controls, -.025 to .052; the floor's -.107 is told in words.
    assert "−0.107" in texts and "−0.02" in texts and "−0.10" not in texts


def test_the_page_asks_for_nothing(whole: Read) -> None:
    page, text = whole, whole.source
    targets = [
        given[name] or "" for _, given in page.tags for name in ("href", "src") if name in given
    ]
    assert [target for target in targets if not target.startswith("#")] == ["data:,"]
    assert {given["href"] for given in page.all("a")} == {f"#case-{at}" for at in range(1, 5)}
    assert "default-src 'none'" in str(page.all("meta"))
    assert not re.findall(r"<!ENTITY|<!DOCTYPE svg|@import|https?://|<\?xml", text)


def test_what_users_wrote_stays_text(tmp_path: Path, plain: Read) -> None:
    page = read(tmp_path, hostile(results()), hostile(examples()))
    tags = Counter(tag for tag, _ in page.tags)
    assert not {"script", "img", "b"} & set(tags)
    assert page.all("a") == []
    assert not [name for _, given in page.tags for name in given if name.startswith("on")]
    assert set(tags) == {tag for tag, _ in plain.tags}
    for text in ("By the sea", "Short sentences. Dry. Full stops.", "writes like the user",
                 "SmolLM2-135M-Instruct", "aligned − random"):  # fmt: skip
        assert text + HOSTILE in "".join(page.texts)


def test_examples_with_all_that_was_read_and_written(plain: Read) -> None:
    text = plain.text
    for part in (
        "What the person really wrote",
        "style summary Short sentences. Dry.",
        "style summary none was passed on",
        "preference evidence: 2 texts",
        "own texts: 1 text",
        "user0 · harbour-inn · style · writes like the user",
    ):
        assert part in text


def test_no_examples_are_shown_where_there_are_none(tmp_path: Path) -> None:
    assert "Examples" not in read(tmp_path, results()).text


def test_an_example_of_a_case_without_figures_is_shown_too(tmp_path: Path) -> None:
    also = examples()
    also["examples"][0]["task"] = "short"
    assert "Other examples The inn at the harbour 0" in read(tmp_path, results(), also).text


def test_settings_and_versions(plain: Read) -> None:
    text = plain.text
    for part in ("budgets: draft long 100, short 24", "versions: torch 2.13.0", "judge none",
                 "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709"):  # fmt: skip
        assert part in text


def test_a_run_of_one_floor_is_a_page_too(tmp_path: Path) -> None:
    page = read(tmp_path, {"settings": {}, "arms": [], "floors": [results()["floors"][0]]})
    assert page.rows["copy_best"] and len(page.all("svg")) == 1
    assert "Settings and versions" in read(tmp_path / "none", {"settings": {}, "arms": []}).text


def test_half_a_surrogate_pair_is_no_obstacle(tmp_path: Path) -> None:
    also = examples()
    also["examples"][0]["real"] = "good \ud83d food"
    assert "good ? food" in read(tmp_path, results(), also).text


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokenResults, match=r"no results.json in .*`patlm bench personalization"):
        write_report(tmp_path)
    assert issubclass(BrokenResults, EvaluationError)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "Expecting property name"),
        (b"\xff\xfe\xfa", "utf-"),
        (b"[]", "should be an object"),
        (b'{"settings": {}}', "arms: Field required"),
        (json.dumps({"settings": {}, "arms": [{"data": "gap"}]}).encode(), "arms.0.task"),
    ],
)
def test_a_broken_file_is_told_and_the_old_page_stays(
    tmp_path: Path, content: bytes, said: str
) -> None:
    page = write_report(write(tmp_path, results()))
    before = page.read_bytes()
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(BrokenResults, match="results.json is not as expected") as told:
        write_report(tmp_path)
    assert said in str(told.value)
    assert page.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.html", "results.json"]


def test_equal_files_give_equal_pages(tmp_path: Path) -> None:
    pages = {write_report(write(tmp_path / at, results())).read_bytes() for at in "ab"}
    assert len(pages) == 1


def test_the_command_prints_where_the_page_is(tmp_path: Path) -> None:
    write(tmp_path, results())
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 0 and done.stdout.strip() == str(tmp_path / "report.html")
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--json"])
    assert json.loads(done.stdout) == {"report": str(tmp_path / "report.html")}
    done = CliRunner().invoke(app, ["report", str(tmp_path / "nowhere")])
    assert done.exit_code == 1
    assert done.stderr.startswith("patlm: no results.json in ") and done.stderr.count("\n") == 1


def test_figures_as_people_read_them() -> None:
    assert [number(0.0625, 2), number(-0.25, 1), number(2300, 0)] == ["0.06", "−0.2", "2,300"]
    assert [signed(0.0104), signed(-0.0104), signed(-0.0004)] == ["+0.010", "−0.010", "0.000"]
    assert [number(None), signed(float("nan")), share(None)] == ["–", "–", "–"]
    assert [interval([0.1, None]), interval([0.1, float("inf")])] == ["–", "–"]
    assert interval([-0.02, 0.03], 2, signs=True) == "[−0.02, +0.03]"
    assert share(0.126) == "13\xa0%"


def test_a_template_is_told_of_names_it_does_not_get() -> None:
    with pytest.raises(Exception, match="'settings' is undefined"):
        render("report.html.j2")
