"""Render self-contained pages from the templates in this folder, and serve one locally.

A page has no scripts and makes no network requests: style and pictures are inline, everything that
users wrote is escaped, and a content security policy enforces this in the browser. `base.html.j2`
is the layout: a template extends it and fills the blocks `title`, `heading` and `content`.

    with serving(make_page) as url:
        ...

A served page is rendered at each request. The server is bound to 127.0.0.1, and a request has to
name a loopback host, which stops DNS rebinding (a site whose name is changed to 127.0.0.1 after
loading). There is no authentication: whoever can connect from this machine can read the page.
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

from ...models.sanitise import visible
from ...stores.errors import StoreError
from ..scores.metrics import Metric

if TYPE_CHECKING:
    from jinja2 import Environment

NOTHING = "–"
"""Placeholder of a missing value: a zero would be a value."""

_MINUS = "\N{MINUS SIGN}"


def render(template: str, **context: object) -> str:
    """Render a template.

    Args:
        template: File name in `templates`, such as `report.html.j2`.
        **context: Variables of the template. A `markupsafe.Markup` is not escaped, every other text
            is.

    Raises:
        jinja2.UndefinedError: The template uses a variable that is not in the context.
    """
    return _environment().get_template(template).render(**context)


def number(value: float | None, digits: int = 3) -> str:
    """Format a value with a number of digits, `–` for None.

    >>> number(0.17249), number(2300, 0), number(None)
    ('0.172', '2,300', '–')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    # Adding 0.0 after rounding turns minus zero into zero.
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", _MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """Format a difference with its sign, `–` for None.

    >>> signed(0.0104), signed(0.0)
    ('+0.010', '0.000')
    """
    shown = number(value, digits)
    return f"+{shown}" if value is not None and round(value, digits) > 0 else shown


def interval(bounds: Sequence[float | None] | None, digits: int = 3, *, signs: bool = False) -> str:
    """Format an interval in brackets, `–` for None.

    >>> interval([0.15, 0.1944]), interval(None)
    ('[0.150, 0.194]', '–')
    """
    if not bounds or any(bound is None or not math.isfinite(bound) for bound in bounds):
        return NOTHING
    shown = signed if signs else number
    return f"[{', '.join(shown(bound, digits) for bound in bounds)}]"


def share(value: float | None, digits: int = 0) -> str:
    """Format a share of 0 to 1 in percent, `–` for None.

    >>> share(0.354)
    '35 %'
    """
    # A no-break space keeps a number and its unit on one line.
    return NOTHING if number(value) == NOTHING else f"{number((value or 0) * 100, digits)}\xa0%"


def figure(value: float | None, metric: Metric) -> str:
    """Format a metric's value in its unit, `–` for None."""
    if metric.unit == "share":
        return share(value)
    return number(value, 0 if metric.unit == "words" else 3)


def _visible(value: object) -> object:
    """Show the control characters of a text: some of them reorder the text around it."""
    return visible(value) if type(value) is str else value


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("patlm.evaluation.report", "templates"),
        # Always escape, whatever the file's extension: no new template can bypass it.
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (number, signed, interval, share, figure)
    environment.filters |= {each.__name__: each for each in shown}
    return environment


LOOPBACK = "127.0.0.1"
_NAMES = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?", re.IGNORECASE)
"""Accepted `Host` headers; the last name is for port forwarding."""

IDLE_S = 30.0
"""Seconds after which an idle connection is closed."""

HEADERS = {
    # The page's own policy and what a meta tag can't express: no site may frame the page.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

MakePage = Callable[[], str]
"""Returns the page. OSError and StoreError are shown to the reader; other errors are bugs."""


@contextmanager
def serving(make_page: MakePage, port: int = 0) -> Iterator[str]:
    """Serve a page until the context ends, and yield its address.

    Args:
        make_page: Called at each request, from threads of the server.
        port: Port on 127.0.0.1; 0: any free port.

    Raises:
        OSError: The port is not available.
    """
    try:
        server = _Server((LOOPBACK, port), _handler(make_page))
    except OSError as error:
        says = f"port {port} of {LOOPBACK} is not available ({error.strerror}): name another port"
        raise OSError(error.errno, says) from error
    # Poll often: the default delays shutdown by up to half a second.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def names_loopback(hosts: list[str] | None) -> bool:
    """Whether a request has exactly one `Host` header, and it names this machine."""
    return hosts is not None and len(hosts) == 1 and bool(_NAMES.fullmatch(hosts[0].strip()))


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore readers that disconnect before the page is sent."""
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
            """Return status, content type and body."""
            if not names_loopback(self.headers.get_all("Host")):
                return HTTPStatus.FORBIDDEN, "plain", "this page is for 127.0.0.1 only\n"
            if self.path.partition("?")[0] != "/":
                return HTTPStatus.NOT_FOUND, "plain", "the only page is /\n"
            try:
                return HTTPStatus.OK, "html", make_page()
            except (OSError, StoreError) as error:
                return HTTPStatus.INTERNAL_SERVER_ERROR, "plain", f"{error}\n"

        def _answer(self, status: HTTPStatus, kind: str, body: str) -> None:
            # A lone surrogate, valid in JSON but not in UTF-8, is shown as `?`.
            content = body.encode("utf-8", errors="replace")
            self.send_response(status)
            self.send_header("Content-Type", f"text/{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def end_headers(self) -> None:
            """Add the headers of every response, including those to unsupported methods."""
            for name, value in HEADERS.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: the terminal is for the address and for errors."""

    return Handler
