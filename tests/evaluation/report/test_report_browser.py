"""The report in a real browser: it needs nothing else, examples open, no text runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import PHONE, chromium, opened
from patlm.evaluation.report.page import write_report
from report_results import HOSTILE, examples, hostile, results, several_histories, write

LONG_WORD = "a" * 400
OPEN_ALL = "document.querySelectorAll('details').forEach(each => { each.open = true })"
"""A click on each takes seconds; those of the first example are clicked."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(write(folder, several_histories(), examples(f"{{}} {LONG_WORD}")))


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    return write_report(write(folder, hostile(results()), hostile(examples())))


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_what_users_wrote_does_not_run(browser: Any, hostile_report: Path, width: int) -> None:
    with opened(browser, hostile_report, width) as found:
        page = found.page
        page.locator("details.example > summary").first.click()
        page.locator("details.example details > summary").first.click()
        assert page.locator("details.example .draft").first.is_visible()
        found.run(OPEN_ALL)
        assert found.run("window.hacked") is None
        assert found.complaints == [] and found.requests == [hostile_report.as_uri()]
        assert found.run("document.querySelectorAll('main script, img, [onerror]').length") == 0
        drafts = page.locator(".draft").all_inner_texts()
        assert len(drafts) == 9 and all(HOSTILE in draft for draft in drafts)
        labels = page.locator("svg text").all_text_contents()
        assert f"own_history{HOSTILE}"[:23] + "…" in labels
        # Nothing closed the element that it was in: the last section is a child of main.
        assert found.run("document.querySelector('main > section:last-child h2').innerText") == (
            "Settings and versions"
        )


def test_the_policy_would_stop_what_escaping_let_through(
    browser: Any, hostile_report: Path, tmp_path: Path
) -> None:
    page = tmp_path / "unescaped.html"
    text = hostile_report.read_text().replace("</main>", f"{HOSTILE}</main>")
    page.write_text(text)
    with opened(browser, page) as found:
        assert any("Content Security Policy" in each for each in found.complaints)
        assert found.run("window.hacked") is None


def test_on_a_phone_only_tables_scroll_sideways(browser: Any, report: Path) -> None:
    with opened(browser, report, PHONE) as found:
        found.run(OPEN_ALL)
        assert found.width <= PHONE
        table = found.page.locator(".scroll:has(table.arms)").first
        assert table.evaluate("box => box.scrollWidth > box.clientWidth")
        first = table.locator("tbody th.arm").first
        before = first.bounding_box()["x"]
        table.evaluate("box => { box.scrollLeft = 200 }")
        assert first.bounding_box()["x"] == pytest.approx(before, abs=2)
        smallest = found.run(
            """Math.min(...[...document.querySelectorAll('svg text')].map(text =>
                 parseFloat(getComputedStyle(text).fontSize) *
                   Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b)))"""
        )
        assert smallest >= 9


def test_on_paper_all_is_open_and_dark_mode_is_off(browser: Any, report: Path) -> None:
    with opened(browser, report, color_scheme="dark") as found:
        dark = found.run("getComputedStyle(document.body).backgroundColor")
        assert dark == "rgb(20, 23, 27)"
        found.page.emulate_media(media="print")
        white = found.run("getComputedStyle(document.body).backgroundColor")
        assert white == "rgb(255, 255, 255)"
        heights = found.run(
            """[...document.querySelectorAll('.draft, .piece .text, details.settings dd')]
                 .map(text => text.getBoundingClientRect().height)"""
        )
        assert len(heights) > 20 and min(heights) > 5
        assert found.page.pdf(format="A4").startswith(b"%PDF")
