"""Matplotlib's pictures as parts of a page: own ids, a label for who can't see them, its colours.

An SVG element in a page shares the page's ids and its style sheet, so what matplotlib writes for a
file of its own is taken apart: the XML heading with its DTD, the metadata and the style sheet (it
would hold for the whole page) go, ids get a prefix, and colours become the page's own, which change
with dark mode. Text stays text: it can be searched, and is a tenth as large as drawn letters.
"""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

WIDTH = 360
"""Of every picture, in units of its own: near a phone's width, so that text stays legible there."""

# Matplotlib knows no CSS variables: these colours, used by nothing else, stand for them.
INK, SOFT, LINE, PAPER = "#010101", "#010102", "#010103", "#010104"
ONE, TWO, THREE, FOUR = "#010105", "#010106", "#010107", "#010108"
_ON_THE_PAGE = {
    INK: "var(--ink, #1b1f24)",
    SOFT: "var(--soft, #59626d)",
    LINE: "var(--line, #d5dae0)",
    PAPER: "var(--paper, #ffffff)",
    ONE: "var(--one, #0b5cad)",
    TWO: "var(--two, #b8480f)",
    THREE: "var(--three, #17703b)",
    FOUR: "var(--four, #7b3fa0)",
}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


def drawing_style() -> AbstractContextManager[None]:
    """Return matplotlib's settings for figures that become parts of a page."""
    import matplotlib

    style: Any = {  # keys are an enumeration of hundreds of literals
        "svg.fonttype": "none",
        # A name with two dollar signs is a name.
        "text.parse_math": False,
        "font.size": 11,
        "text.color": INK,
        "axes.labelcolor": SOFT,
        "axes.edgecolor": LINE,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.labelsize": 10.5,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": SOFT,
        "ytick.labelcolor": INK,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10.5,
        "legend.frameon": False,
        "legend.fontsize": 10,
        "grid.color": LINE,
        "grid.linewidth": 0.6,
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.unicode_minus": True,
    }
    return matplotlib.rc_context(style)


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure; a unit of the picture is a point of matplotlib's."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72), layout="constrained")


def to_svg(figure: Figure, name: str, label: str) -> Markup:
    """Return a figure as an SVG element.

    Args:
        figure: Made within `drawing_style`.
        name: Prefix of the element's ids: another one for each picture of a page.
        label: What the picture shows, in words.
    """
    import matplotlib
    from markupsafe import Markup

    written = io.BytesIO()
    with drawing_style(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(written, format="svg")
    root = ElementTree.fromstring(written.getvalue())
    _adapt(root, name)
    # The view box gives the proportions; the page gives the size.
    for fixed in ("width", "height", "version"):
        root.attrib.pop(fixed, None)
    title = ElementTree.Element("title")
    title.text = label
    root.insert(0, title)
    root.attrib |= {"role": "img", "aria-label": label}
    # Every text was escaped by the serializer.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def standalone(picture: Markup) -> str:
    """Return a picture of a page as the content of a file; outside the page its colours are day's.

    Wider pages than a phone's would blow it up: it gets a size.
    """
    width = f'width="{1.5 * WIDTH:g}"'
    return str(picture).replace(
        "<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" {width} style="background:#fff" ', 1
    )


def _adapt(element: ElementTree.Element, name: str) -> None:
    """Rewrite an element and all below it in place."""
    # HTML's parser puts what is below <svg> into SVG's name space; prefixes would mean nothing.
    element.tag = _local(element.tag)
    element.attrib = {
        _local(key): _value(_local(key), value, name) for key, value in element.attrib.items()
    }
    for child in list(element):
        if _local(child.tag) in ("metadata", "style") or not _drawn(child):
            element.remove(child)
        else:
            _adapt(child, name)


def _drawn(element: ElementTree.Element) -> bool:
    """Say whether there is anything in an element: matplotlib writes empty definitions."""
    return _local(element.tag) != "defs" or len(element) > 0


def _value(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return value.replace("#", f"#{name}-", 1)
    value = value.replace("url(#", f"url(#{name}-")
    if key in ("style", "fill", "stroke"):
        value = re.sub(r"#0101\d\d", lambda found: _ON_THE_PAGE.get(found[0], found[0]), value)
        value = re.sub(r"'DejaVu Sans'.*?sans-serif", _FONT, value)
    return value


def _local(name: str) -> str:
    return name.rpartition("}")[2]
