"""Charts as matplotlib figures: SVG that follows a page's light or dark theme, small and with no name that
another chart of the page has, and files on disk.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from converters.host.files import whole
from prototxt.errors import InputError

# Told apart by colour-blind readers too, on white and on black (after M. Okabe and K. Ito, 2008).
PALETTE = ("#3b82c4", "#e08a1e", "#2aa876", "#c65b9c", "#8a63d2", "#c9503c", "#7a8f2a", "#5f7d95", "#b08b57")
_CREATOR = "caffe-zoo"  # as the files say, by which they are known again
_INK = "#010203"  # text, axes and grid: a colour that nothing else has, so that a page can put its own there
_STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be read, found and set in the page's own font
    "svg.hashsalt": "zoo",  # the same figure is the same bytes
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


_LEFT_OUT = (
    re.compile(r"<metadata>.*?</metadata>\s*", re.S),
    # Styles inside a page are the whole page's: what these say stands on the <svg> element instead.
    re.compile(r"<defs>\s*<style.*?</style>\s*</defs>\s*", re.S),
    re.compile(r" font-family: [^;\"]*;"),
    re.compile(r' transform="rotate\(-0 [^)]*\)"'),
    re.compile(r"<!--.*?-->\s*", re.S),
)
_NUMBER = re.compile(r"-?\d+\.\d+")
_GEOMETRY = re.compile(r' (d|x|y|width|height|points)="[^"]*"')
_DECIMALS = 1  # a tenth of a point cannot be seen


def new_figure(width: float = 6.4, height: float = 3.6) -> Figure:
    """An empty figure of that size in inches; draw on ``figure.subplots()`` under :func:`style`."""
    with style():
        return Figure(figsize=(width, height), layout="constrained")


@contextmanager
def style() -> Iterator[None]:
    """The context in which axes are made and drawn on, so that they take the house's colours."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
        # The page's own font has the glyphs that matplotlib's, which only measures text here, lacks.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        yield


def colour(index: int) -> str:
    """The ``index``-th series' colour; they repeat after nine."""
    return PALETTE[index % len(PALETTE)]


def to_svg(figure: Figure) -> str:
    """An ``<svg>`` element to put into a page: transparent, its text and axes in the page's colour."""
    text = io.StringIO()
    with style():
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return compact(text.getvalue()).replace(_INK, "currentColor")


def is_chart(path: Path) -> bool:
    """Whether :func:`save_chart` wrote the file: it says so near its beginning."""
    with path.open("rb") as file:
        return _CREATOR.encode() in file.read(2000)


def save_chart(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG by the path's suffix, on white. Raises InputError for another suffix."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise InputError(f"{path}: a chart is written as .png or .svg")
    metadata = {"Date": None, "Creator": _CREATOR} if kind == "svg" else {"Software": _CREATOR}
    with style(), whole(path) as beside:
        figure.savefig(beside, format=kind, dpi=160, facecolor="white", metadata=metadata)


def compact(svg: str) -> str:
    """The ``<svg>`` element of a file by matplotlib: no metadata, styles or fonts of its own, names that no
    other chart in the page has, sized by the page."""
    svg = svg[svg.index("<svg") :]
    for pattern in _LEFT_OUT:
        svg = pattern.sub("", svg)
    svg = _GEOMETRY.sub(lambda match: _rounded(match[0]), svg)
    svg = re.sub(r"\s*\n\s*", " ", _renamed(svg)).replace("> <", "><").strip()
    head, _, rest = svg.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head).replace("xlink:href", "href")
    return f'{head} stroke-linejoin="round" stroke-linecap="butt">{rest}'


def standalone(svg: str) -> str:
    """A compact element as a file: of its own size, dark on white, whatever page it is put into."""
    box = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', svg)
    assert box is not None
    look = "background: #fff; color: #1d2329; font-family: system-ui, sans-serif"
    return svg.replace("<svg ", f'<svg width="{box[1]}" height="{box[2]}" style="{look}" ', 1) + "\n"


def _rounded(text: str) -> str:
    return _NUMBER.sub(lambda match: f"{float(match[0]):.{_DECIMALS}f}".rstrip("0").rstrip("."), text)


def _renamed(svg: str) -> str:
    """Without the ids that nothing refers to; the others begin with a digest of the whole."""
    svg = svg.replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    prefix = "c" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", svg)
