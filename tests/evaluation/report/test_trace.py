"""The page of recorded runs, and `patlm view`: real runs of the loop, seen from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from click.testing import Result
from episode_fixtures import FOUR, collected
from fakes import ScriptedChat, fails
from loop_parts import LONG, GivenRetrieval, found, record_of
from markupsafe import escape
from patlm.cli.runs import inspect as view
from patlm.evaluation.report.loop_drawing import draw_loop, nodes_of
from patlm.evaluation.report.trace import render_view, view_of
from patlm.stores.episodes.schema import Episode, Feedback, Group, Sample, TargetRecord
from patlm.stores.episodes.shards import EpisodeWriter
from patlm.stores.types import Text
from typer.testing import CliRunner

HOSTILE = '</p><script>document.title="x"</script><img src=x onerror="1">&<b>'
SAYS = {
    "style": ["Short and plain.", "Short and calm."],
    "preference": "They like the view.",
    "integrate": ["A fine view.", "A fine, wide view."],
}
NODES = [
    "style-retrieve", "preference-retrieve", "style-reason", "preference-reason", "integrate",
    "check-stop",
]  # fmt: skip


@pytest.fixture(scope="module")
def good() -> Episode:
    own = [Text("ana", "Lovely!! Slept like a log.")]
    return record_of(ScriptedChat(says=SAYS), GivenRetrieval(own=own))


@pytest.fixture(scope="module")
def failed() -> Episode:
    return record_of(ScriptedChat(fault=fails(ValueError("out of words"), role="integrate")))


class Tags(HTMLParser):
    """Counts the tags of a page and keeps its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def fates(record: Episode) -> dict[str, str]:
    return {node.name: node.fate for node in nodes_of(record)}


def test_a_run_is_shown_with_all_that_is_known_of_it(good: Episode) -> None:
    page = render_view([good], source="traces-1.jsonl")
    assert "<title>Runs of traces-1.jsonl</title>" in page
    for part in (
        "Two nights by the sea", "END: max_iterations", "2 iterations", "Iteration 2",
        "I slept. I ate. I left.", "because 1", "by dee on sea, aligned", "1.000", "0.900",
        "integrate-model, base", "few (1 text read)", "Lovely!! Slept like a log.",
        "You write short personal texts", good.run_id,
    ):  # fmt: skip
        assert part in page, part
    assert page.count('class="tag good">kept<') == 1
    for node in NODES:
        assert node in draw_loop(good)
    assert Tags(page).tags.count("svg") == 1 + len(NODES), "the drawing and a bar of each node"


def test_what_changed_is_marked(good: Episode) -> None:
    first, second = view_of(good).rounds
    # By hand: "A fine view." -> "A fine, wide view."
    kinds = [(span.kind, span.text) for span in second.draft.spans or ()]
    assert kinds == [
        ("equal", "A"), ("delete", "fine"), ("insert", "fine, wide"), ("equal", "view."),
    ]  # fmt: skip
    assert first.draft.spans is None
    page = render_view([good])
    assert "A <del>fine</del> <ins>fine, wide</ins> view." in page
    assert "Short and <del>plain.</del> <ins>calm.</ins>" in page
    # The preference summary and the evidence of both sides are what they were.
    assert page.count("unchanged since the previous iteration</p>") == 1
    assert page.count("2 texts, unchanged since the previous iteration") == 2
    assert [side.same for side in second.sides] == [True, True]
    assert [side.same for side in first.sides] == [False, False]


def test_a_failed_run_tells_how_far_it_came(failed: Episode) -> None:
    expected = dict.fromkeys(NODES, "reached")
    assert fates(failed) == {**expected, "integrate": "failed", "check-stop": "unreached"}
    page = render_view([failed])
    assert "ModelCallError: the integrate model" in page and "END: failed" in page
    assert "No times recorded" in page and ">kept<" not in page and "no draft" in page
    # The reasoners' calls have times, the retrievals have none.
    assert re.search(r"style-reason: [\d.]+\s(?:ms|s) in 1 call", page)
    assert "style-retrieve: no time recorded" in page


def test_nothing_that_is_in_a_record_becomes_markup(good: Episode) -> None:
    texts = [Text("bo" + HOSTILE, HOSTILE * 9, topic_id=HOSTILE, title=HOSTILE)]
    record = record_of(
        ScriptedChat(says=dict.fromkeys(SAYS, [HOSTILE, f"{HOSTILE} {HOSTILE}"])),
        GivenRetrieval(own=texts, style=found(texts), preference=found(texts)),
        {**LONG, "user_id": HOSTILE, "title": HOSTILE},
    )
    call = Sample(
        node=f"{HOSTILE}-reason", iteration=1, role="style", model=HOSTILE, messages=(),
        seconds=1, error=HOSTILE,
    )  # fmt: skip
    record = record.model_copy(
        update={
            "samples": (*record.samples, call), "run_id": f'"{HOSTILE}', "stop_reason": HOSTILE,
            "warnings": (HOSTILE,), "namespace": HOSTILE, "models": {HOSTILE: HOSTILE},
            "timings": {**record.timings, f"{HOSTILE}-retrieve": 1.0}, "cold_start": HOSTILE,
        }
    )  # fmt: skip
    group = Group(
        id=HOSTILE, role=HOSTILE, iteration=1, held={HOSTILE: HOSTILE}, without_draft=HOSTILE
    )
    drawn = call.model_copy(
        update={"group": HOSTILE, "error": None, "text": HOSTILE, "draft": HOSTILE,
                "rewards": {HOSTILE: 1.0}, "reward": 1.0}
    )  # fmt: skip
    record = record.model_copy(
        update={
            "samples": (*record.samples, drawn), "groups": (group,),
            "target": TargetRecord(id=HOSTILE, data=HOSTILE, real=HOSTILE),
            "feedback": (Feedback(run_id=HOSTILE, edited=HOSTILE, rating=1),),
        }
    )  # fmt: skip
    page = render_view(
        [record, record.model_copy(update={"text": None, "error": HOSTILE})],
        source=HOSTILE, notes=[HOSTILE],
    )  # fmt: skip
    tags = Tags(page)
    # The same tags as of harmless runs, and no attribute but those of the template.
    assert not set(tags.tags) & {"script", "img", "iframe", "object", "embed", "form", "base"}
    assert set(tags.tags) - set(Tags(render_view([good])).tags) <= {
        "table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li",
    }  # fmt: skip
    assert not [name for name, _ in tags.attributes if name.startswith("on") or name == "src"]
    assert all(value == "data:," for name, value in tags.attributes if name == "href")
    assert str(escape(HOSTILE)) in page


def test_candidates_of_a_group_stand_below_each_other_best_first(good: Episode) -> None:
    episode = collected(*FOUR)
    (group,) = view_of(episode).groups
    assert group.rewards == ("quality", "copying") and group.best == 0.75
    page = render_view([good, episode])
    assert page.count("style, iteration 1: 4 candidates") == 1
    begin = page.index('<section class="group">')
    shown = page[begin : page.index("</section>", begin)]
    figures = re.findall(r'class="number">(.*?)</', shown)
    # reward, differential, quality, copying: the best first, what failed last.
    assert figures == [
        "reward 0.750", "+0.550", "0.750", "–", "reward 0.500", "+0.300", "0.500", "–",
        "reward 0.250", "+0.050", "0.250", "–", "reward –", "–", "–", "–",
    ]  # fmt: skip
    assert shown.count('class="tag good">best<') == 1
    assert shown.index(">best<") < shown.index("Summary extractive.") < shown.index("Summary 0.")
    assert "Draft 1." in shown and "ValueError: down" in shown
    assert "preference fixed: They like the view." in page
    assert "Without style (0.200): A plain draft." in page and "What ana really wrote." in page
    assert "Candidates" not in render_view([good])


def test_feedback_is_shown() -> None:
    said = Feedback(run_id="run-1", accepted=False, edited="Three nights.", rating=2)
    page = render_view([collected(*FOUR, feedback=(said,))])
    assert "rejected rated 2.0 corrected to: Three nights." in page


def test_an_emptied_run_is_told_to_be_one(good: Episode) -> None:
    emptied = Episode(run_id="r", namespace="default", request={}, redacted=good.created)
    page = render_view([emptied])
    assert "Emptied on" in page and ">emptied<" in page and "Result" not in page


def call(*arguments: object) -> Result:
    app = typer.Typer()
    view.register(app)
    return CliRunner().invoke(app, ["view", *map(str, arguments)])


@pytest.fixture
def folder(good: Episode, failed: Episode, tmp_path: Path) -> Path:
    """A folder of runs on two days, which were not written in the order in which they began."""
    records = [
        (good, "2026-01-02T10:00:00Z", "aa1"),
        (failed, "2026-01-03T10:00:00Z", "bb2"),
        (good, "2026-01-02T12:00:00Z", "aa3"),
        (good, "2026-01-02T11:00:00Z", "cc4"),
    ]
    for record, created, run_id in records:
        row = record.model_dump(mode="json")
        new = Episode.model_validate({**row, "created": created, "run_id": run_id})
        EpisodeWriter(tmp_path / "traces").append(new)
    return tmp_path / "traces"


def runs_of(page: Path) -> list[str]:
    return re.findall(r'id="run-(\w+)"', page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("more", "runs", "says"),
    [
        ([], ["bb2", "aa3", "cc4", "aa1"], "4 runs"),
        (["--latest", 2], ["bb2", "aa3"], "2 runs"),
        (["--run", "aa"], ["aa3", "aa1"], "2 runs"),
    ],
)
def test_the_file_holds_the_runs_that_were_asked_for(
    folder: Path, tmp_path: Path, more: list[object], runs: list[str], says: str
) -> None:
    page = tmp_path / "page.html"
    result = call(folder, "--html", page, *more)
    assert (result.exit_code, result.stdout) == (0, f"{page}: {says}\n")
    assert runs_of(page) == runs
    assert ("of 4 runs" in page.read_text(encoding="utf-8")) == ("2" in map(str, more))


@pytest.mark.parametrize(
    ("content", "more", "code", "says"),
    [
        (None, ["--html", "p.html"], 1, "no episodes at"),
        ("", ["--html", "p.html"], 1, "no run in"),
        ('{"version": 99}', ["--html", "p.html"], 1, "version"),
        ("", ["--serve", "--port", "70000"], 2, "65535"),
    ],
)
def test_what_cannot_be_shown_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
    more: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "traces.jsonl"
    if content is not None:
        path.write_text(content)
    result = call(path, *more)
    assert (result.exit_code, result.stdout) == (code, "")
    assert isinstance(result.exception, SystemExit) and says in result.stderr
    assert not (tmp_path / "p.html").exists()
