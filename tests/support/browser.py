"""A real browser for pages: Debian's `chromium` by Playwright, or another by `PATLM_CHROMIUM`.

Playwright's own download is not used: `pip` brings the driver, the system brings the browser.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Read at import: tests run without any PATLM_ variable.
CHROMIUM = os.environ.get("PATLM_CHROMIUM") or shutil.which("chromium")

PHONE, DESKTOP = 375, 1200


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; the test is skipped, with the reason, where there is none.

    Not for a fixture of the whole session: while the synchronous API is open, no test in the same
    thread can run an event loop of its own.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium, or name one in PATLM_CHROMIUM")
    with playwright.sync_playwright() as driver:
        # In a container there is no name space for a sandbox; the pages are our own.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Opened:
    """A page that is open, and what it did: requests, complaints on the console, errors."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    @property
    def width(self) -> int:
        """Of the whole page in CSS pixels: more than the window's where it scrolls sideways."""
        return int(self.run("document.documentElement.scrollWidth"))


@contextmanager
def opened(
    browser: Browser, place: Path | str, width: int = DESKTOP, **also: Any
) -> Iterator[Opened]:
    """Open a file or an address in a new window of so many CSS pixels.

    Args:
        browser: From `chromium`.
        place: A file, or an address.
        width: Of the window.
        **also: Further settings of a window, as `color_scheme="dark"`.
    """
    page = browser.new_page(viewport={"width": width, "height": 800}, **also)
    found = Opened(page)
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("requestfailed", lambda request: found.complaints.append(f"failed: {request.url}"))
    page.on("console", lambda said: found.complaints.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: found.complaints.append(f"error: {error}"))
    try:
        page.goto(place.as_uri() if isinstance(place, Path) else place)
        yield found
    finally:
        page.close()
