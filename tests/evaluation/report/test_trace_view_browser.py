"""The page of recorded runs in a real browser: from a file and served, on a phone and a desk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import DESKTOP, PHONE, chromium, opened
from fakes import ScriptedChat, fails
from loop_parts import LONG, GivenRetrieval, found, record_of
from patlm.evaluation.report.trace import render_view
from patlm.stores.episodes.schema import Episode
from patlm.stores.types import Text

HOSTILE = (
    "</p></details></main><script>window.hacked = 1</script>"
    '<img src="https://example.com/x" onerror="window.hacked = 2"><svg onload="window.hacked = 3">'
)
SAYS = {
    "style": ["Short and plain.", "Short and calm."],
    "preference": "They like the view.",
    "integrate": ["A fine view.", f"A fine, wide view. {'x' * 400}"],
}


@pytest.fixture(scope="module")
def records() -> list[Episode]:
    long = [Text("dee", "The view over the bay is grand. " * 40, topic_id="sea")]
    bad = [Text(HOSTILE, HOSTILE * 3, topic_id=HOSTILE, title=HOSTILE)]
    return [
        record_of(ScriptedChat(says=SAYS), GivenRetrieval(preference=found(long))),
        record_of(ScriptedChat(fault=fails(ValueError(HOSTILE), role="integrate"))),
        record_of(
            ScriptedChat(says=dict.fromkeys(SAYS, [HOSTILE, f"{HOSTILE} {HOSTILE}"])),
            GivenRetrieval(own=bad, style=found(bad), preference=found(bad)),
            {**LONG, "title": HOSTILE},
        ),
    ]


@pytest.fixture(scope="module")
def browser(records: list[Episode]) -> Iterator[Any]:
    # After the records: while Playwright is open, this thread can run no other loop.
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page_file(records: list[Episode], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("view") / "page.html"
    file.write_text(render_view(records, source="traces", notes=[HOSTILE]), encoding="utf-8")
    return file


def test_runs_and_what_is_in_them_open(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as found:
        first, failed, _ = found.page.locator("details.run").all()
        assert first.get_by_role("img").is_visible(), "the first run is open"
        error = failed.locator(".fault")
        assert not error.is_visible()
        failed.locator("summary").first.click()
        assert error.is_visible() and "ModelCallError" in error.inner_text()
        call = first.locator("details", has_text="integrate-model").last
        prompt = call.locator(".prompt").first
        assert not prompt.is_visible()
        call.locator("summary").click()
        assert prompt.is_visible() and "You write short" in prompt.inner_text()
        whole = first.locator(".piece details .text").first
        first.locator(".piece details summary").first.click()
        assert whole.is_visible() and whole.inner_text().count("grand") == 40


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_what_users_wrote_does_not_run(browser: Any, page_file: Path, width: int) -> None:
    with opened(browser, page_file, width) as found:
        found.run("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert found.run("window.hacked") is None
        assert found.complaints == [] and found.requests == [page_file.as_uri()]
        assert (
            found.run("document.querySelectorAll('script, img, [onerror], [onload]').length") == 0
        )
        # Nothing closed the element that it was in.
        assert found.run("document.querySelectorAll('main > details.run').length") == 3
        assert HOSTILE in found.page.locator("details.run").last.locator(".result").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_scrolls_sideways_and_the_drawing_is_readable(
    browser: Any, page_file: Path, scheme: str
) -> None:
    with opened(browser, page_file, PHONE, color_scheme=scheme) as found:
        found.run("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert found.width <= PHONE
        drawing = found.page.locator("svg.loop").first
        box = drawing.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE
        smallest = drawing.evaluate(
            """svg => Math.min(...[...svg.querySelectorAll('text')].map(text =>
                 parseFloat(getComputedStyle(text).fontSize) *
                   Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b)))"""
        )
        assert smallest >= 10
        # No label reaches out of its box.
        out = drawing.evaluate(
            """svg => [...svg.querySelectorAll('g.node, g.end')].filter(node => {
                 const box = node.querySelector('rect').getBoundingClientRect()
                 return [...node.querySelectorAll('text')].some(text => {
                   const said = text.getBoundingClientRect()
                   return said.left < box.left || said.right > box.right
                 })
               }).length"""
        )
        assert out == 0
