"""The page of one machine: loopback alone, no foreign names, made anew at each request."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from patlm.evaluation.report.html import serving
from patlm.stores.errors import StoreError
from processes import HANG_SECONDS, environment
from raising import raises


class Pages:
    """Counts how often the page is made; `fault` is raised instead."""

    def __init__(self) -> None:
        self.made = 0
        self.fault: Exception | None = None

    def __call__(self) -> str:
        self.made += 1
        if self.fault is not None:
            raise self.fault
        return f"<p>page {self.made}, café \ud800</p>"


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def url(pages: Pages) -> Iterator[str]:
    with serving(pages) as address:
        yield address


def ask(url: str, host: str | None, path: str = "/", method: str = "GET") -> HTTPResponse:
    """Return the answer to a request whose `Host` is this one, or that has none."""
    connection = HTTPConnection("127.0.0.1", urlsplit(url).port or 0, timeout=HANG_SECONDS)
    connection.putrequest(method, path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    return connection.getresponse()


def test_each_request_makes_the_page_anew(url: str) -> None:
    first, second = httpx.get(url), httpx.get(f"{url}?again")
    assert (first.status_code, first.text) == (200, "<p>page 1, café ?</p>")
    assert second.text == "<p>page 2, café ?</p>"


def test_the_headers_keep_the_page_to_itself(url: str) -> None:
    headers = httpx.get(url).headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert not {"script-src", "connect-src"} & set(policy), "they fall back to default-src"
    assert "python" not in headers["server"].lower()


def test_no_other_path_is_there(url: str, pages: Pages) -> None:
    for path in ("/x", "/../etc/passwd", "/favicon.ico", "//", "http://127.0.0.1/x", "*"):
        answer = ask(url, "localhost", path)
        # The server's own parser takes several leading slashes for one.
        assert answer.status == (200 if path == "//" else 404), path
    assert pages.made == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:99", "[::1]:8000"])
def test_a_loopback_name_is_answered(url: str, host: str) -> None:
    assert ask(url, host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        None, "", "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil",
        "user@localhost", "localhost/x", "evil.example#localhost", "[::1", "192.168.0.1", "0.0.0.0",
    ],
)  # fmt: skip
def test_another_name_is_refused_without_making_the_page(
    url: str, pages: Pages, host: str | None
) -> None:
    answer = ask(url, host)
    assert answer.status == 403 and b"page 1" not in answer.read()
    assert pages.made == 0


@pytest.mark.parametrize("fault", [FileNotFoundError("it is gone"), StoreError("version 9")])
def test_a_page_that_cannot_be_made_is_told_and_the_server_goes_on(
    url: str, pages: Pages, fault: Exception
) -> None:
    pages.fault = fault
    answer = httpx.get(url)
    assert (answer.status_code, answer.text) == (500, f"{fault}\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    pages.fault = None
    assert httpx.get(url).status_code == 200


def test_it_listens_on_loopback_alone(url: str) -> None:
    port = urlsplit(url).port or 0
    assert url == f"http://127.0.0.1:{port}/"
    # All of 127.0.0.0/8 is this machine: one bound to every address would answer here too.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=HANG_SECONDS)


def test_a_port_that_is_taken_is_told(url: str, pages: Pages) -> None:
    port = urlsplit(url).port or 0
    with raises(OSError, None, port), serving(pages, port):
        pass


def test_ctrl_c_ends_the_command_with_a_line(tmp_path: Path) -> None:
    code = (
        # Where the tests run as a job in the background, Ctrl-C is ignored and that is inherited.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from patlm.cli.main import app; app()"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, "view", str(tmp_path), "--serve"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        assert "No runs yet" in httpx.get(address).text
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=HANG_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, said) == (0, "stopped\n")
