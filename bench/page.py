"""Pages of one file: templates beside this module, everything that users wrote escaped.

A page has no script and asks for nothing from a network: its style and its pictures are in it, and
a content security policy holds the browser to that, whatever a text says. `base.html.j2` is the
frame: a template extends it and fills the blocks `title`, `heading` and `content`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

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


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("patlm.bench", "templates"),
        # True rather than by the file's ending: a new template can't be named past it.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "signed": signed,
        "interval": interval,
        "share": share,
    }
    return environment
