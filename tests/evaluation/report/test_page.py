"""The report of a benchmark: what is in it, in which words, and that nothing of it can run."""

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
from patlm.evaluation.report.html import interval, number, share, signed
from patlm.evaluation.report.page import write_report
from patlm.evaluation.report.records import BrokenResults
from raising import raises
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
        "0.188 [0.171, 0.205]", "0.139", "0.174", "0.429", "0.539", "60",
    ]  # fmt: skip
    assert page.rows["both"][1] == [
        "both", "41", "12 %", "0 %", "35 %", "style 2,300, pref. 210", "style 100 %, pref. 11 %",
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
    assert "Anti-aligned people: not significantly different from no context" in text
    assert "Added to preference_only: +0.004 [−0.004, +0.012]." in text


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


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with raises(BrokenResults, "no_results", tmp_path, "patlm bench personalization"):
        write_report(tmp_path)
    assert issubclass(BrokenResults, EvaluationError)


BROKEN = [
    (b"{", "Expecting property name"),
    (b"\xff\xfe\xfa", "utf-"),
    (b"[]", "should be an object"),
    (b'{"settings": {}}', "arms: Field required"),
    (json.dumps({"settings": {}, "arms": [{"data": "gap"}]}).encode(), "arms.0.task"),
]


def test_a_broken_file_is_told_and_the_old_page_stays(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    page = write_report(write(tmp_path, results()))
    before = page.read_bytes()
    for content, said in BROKEN:
        with subtests.test(said=said):
            (tmp_path / "results.json").write_bytes(content)
            with raises(BrokenResults, "broken_results", "results.json", said):
                write_report(tmp_path)
            assert page.read_bytes() == before
            assert sorted(file.name for file in tmp_path.iterdir()) == [
                "report.html", "results.json",
            ]  # fmt: skip


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
