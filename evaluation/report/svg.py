"""Convert matplotlib figures to SVG elements of a page.

An SVG element in a page shares the page's ids and style sheet, so matplotlib's output is adapted:
the XML declaration with its DTD, the metadata and the style sheet (it would apply to the whole
page) are removed, ids get a prefix, and colours become the page's own, which change in dark mode.
Text remains text: it can be searched, and takes a tenth of the size of outlines.
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
"""Width of every picture in its own units: about a phone's width, which keeps text legible there.
"""

# Matplotlib does not support CSS variables: these colours, used nowhere else, are placeholders.
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
    """Return matplotlib's settings for figures in pages."""
    import matplotlib

    style: Any = {  # the key type is a Literal of hundreds of names
        "svg.fonttype": "none",
        # A name with two dollar signs is not a formula.
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
    """Return an empty figure; one unit of the picture is one point in matplotlib."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72), layout="constrained")


def to_svg(figure: Figure, name: str, label: str) -> Markup:
    """Return a figure as an SVG element.

    Args:
        figure: Figure that was created within `drawing_style`.
        name: Prefix of the element's ids, unique in the page.
        label: Accessible label.
    """
    import matplotlib
    from markupsafe import Markup

    written = io.BytesIO()
    with drawing_style(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(written, format="svg")
    root = ElementTree.fromstring(written.getvalue())
    _adapt(root, name)
    # The view box sets the proportions, the page the size.
    for fixed in ("width", "height", "version"):
        root.attrib.pop(fixed, None)
    title = ElementTree.Element("title")
    title.text = label
    root.insert(0, title)
    root.attrib |= {"role": "img", "aria-label": label}
    # The serializer has escaped every text.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def standalone(picture: Markup) -> str:
    """Return a picture of a page as the content of a file, with the colours of light mode.

    A fixed size keeps viewers from scaling it up.
    """
    width = f'width="{1.5 * WIDTH:g}"'
    return str(picture).replace(
        "<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" {width} style="background:#fff" ', 1
    )


def _adapt(element: ElementTree.Element, name: str) -> None:
    """Adapt an element and its descendants in place."""
    # HTML parsers put descendants of <svg> into the SVG namespace and ignore prefixes.
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
    """Whether an element draws anything: matplotlib writes empty definitions."""
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
