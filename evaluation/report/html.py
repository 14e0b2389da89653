"""Pages of one file, made of the templates in this folder; everything that users wrote is escaped.

A page has no script and asks for nothing from a network: its style and its pictures are in it, and
a content security policy holds the browser to that, whatever a text says. `base.html.j2` is the
frame: a template extends it and fills the blocks `title`, `heading` and `content`.

Serve one page on this machine alone, made anew at each request.

    with serving(make_page) as url:
        ...

It is bound to 127.0.0.1, and a request has to name a loopback host: a site whose name is turned to
127.0.0.1 after it was loaded (DNS rebinding) reads nothing. There are no users: whoever can open a
connection from this machine can read the page.
"""

from __future__ import annotations

import math
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from ...stores.errors import StoreError
from ..scores.metrics import Metric

if TYPE_CHECKING:
    from jinja2 import Environment

NOTHING = "–"
"""Stands where there is no figure: a zero would be one."""

_MINUS = "\N{MINUS SIGN}"


def render(template: str, **context: object) -> str:
    """Return a page.

    Args:
        template: The file's name in `templates`, as `report.html.j2`.
        **context: What the template names. A `markupsafe.Markup` is taken as it is, every other
            text is escaped.

    Raises:
        jinja2.UndefinedError: The template names something that is not in the context.
    """
    return _environment().get_template(template).render(**context)


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure with so many digits after the point, `–` for none.

    >>> number(0.17249), number(2300, 0), number(None)
    ('0.172', '2,300', '–')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    # Adding 0.0 after rounding makes a zero of what rounds to minus zero.
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", _MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """Return a difference with its sign, `–` for none.

    >>> signed(0.0104), signed(0.0)
    ('+0.010', '0.000')
    """
    shown = number(value, digits)
    return f"+{shown}" if value is not None and round(value, digits) > 0 else shown


def interval(bounds: Sequence[float | None] | None, digits: int = 3, *, signs: bool = False) -> str:
    """Return an interval in brackets, `–` for none.

    >>> interval([0.15, 0.1944]), interval(None)
    ('[0.150, 0.194]', '–')
    """
    if not bounds or any(bound is None or not math.isfinite(bound) for bound in bounds):
        return NOTHING
    shown = signed if signs else number
    return f"[{', '.join(shown(bound, digits) for bound in bounds)}]"


def share(value: float | None, digits: int = 0) -> str:
    """Return a share of 0 to 1 in percent, `–` for none.

    >>> share(0.354)
    '35 %'
    """
    # The space doesn't break: a number and its unit stay on one line.
    return NOTHING if number(value) == NOTHING else f"{number((value or 0) * 100, digits)}\xa0%"


def figure(value: float | None, metric: Metric) -> str:
    """Return a value of a metric in its unit, `–` for none."""
    if metric.unit == "share":
        return share(value)
    return number(value, 0 if metric.unit == "words" else 3)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("patlm.evaluation.report", "templates"),
        # True rather than by the file's ending: a new template can't be named past it.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (number, signed, interval, share, figure)
    environment.filters |= {each.__name__: each for each in shown}
    return environment


LOOPBACK = "127.0.0.1"
_NAMES = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?", re.IGNORECASE)
"""What a request may take this server for; the last one for those who forward a port to it."""

IDLE_S = 30.0
"""Seconds after which a connection that says nothing is closed."""

HEADERS = {
    # As the page's own, with what a page cannot say of itself: nobody may put it in a frame.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

MakePage = Callable[[], str]
"""Returns the page. OSError and StoreError are shown to the reader; others are bugs."""


@contextmanager
def serving(make_page: MakePage, port: int = 0) -> Iterator[str]:
    """Serve a page until the context ends, and give its address.

    Args:
        make_page: Called at each request, from threads of the server.
        port: Of 127.0.0.1; 0 takes any that is free.

    Raises:
        OSError: The port cannot be had.
    """
    try:
        server = _Server((LOOPBACK, port), _handler(make_page))
    except OSError as error:
        says = f"port {port} of {LOOPBACK} can't be had ({error.strerror}): name another one"
        raise OSError(error.errno, says) from error
    # Polled often, so that the end doesn't take half a second.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def names_loopback(hosts: list[str] | None) -> bool:
    """Say whether the `Host` headers of a request are one, and one of this machine's names."""
    return hosts is not None and len(hosts) == 1 and bool(_NAMES.fullmatch(hosts[0].strip()))


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a reader who went away before the page was sent."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(make_page: MakePage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "patlm", ""
        timeout = IDLE_S

        def do_GET(self) -> None:
            self._answer(*self._page())

        def do_HEAD(self) -> None:
            self.do_GET()

        def _page(self) -> tuple[HTTPStatus, str, str]:
            """Return status, kind and body."""
            if not names_loopback(self.headers.get_all("Host")):
                return HTTPStatus.FORBIDDEN, "plain", "this page is for 127.0.0.1 alone\n"
            if self.path.partition("?")[0] != "/":
                return HTTPStatus.NOT_FOUND, "plain", "there is one page here: /\n"
            try:
                return HTTPStatus.OK, "html", make_page()
            except (OSError, StoreError) as error:
                return HTTPStatus.INTERNAL_SERVER_ERROR, "plain", f"{error}\n"

        def _answer(self, status: HTTPStatus, kind: str, body: str) -> None:
            # A lone surrogate, which JSON can hold and UTF-8 can't, is shown as `?`.
            content = body.encode("utf-8", errors="replace")
            self.send_response(status)
            self.send_header("Content-Type", f"text/{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def end_headers(self) -> None:
            """Send what every answer has, those to methods that are not known here too."""
            for name, value in HEADERS.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the terminal is for the address and for faults."""

    return Handler
