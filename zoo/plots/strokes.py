"""The strokes that a figure drawn by hand is made of, as SVG in the page's ink."""

from unicodedata import east_asian_width

from zoo.plots.charts import PALETTE

ACCENT = PALETTE[0]
STAR = f'fill="{ACCENT}" d="M0-6 1.5-2 5.7-1.9 2.4.8 3.5 4.9 0 2.6-3.5 4.9-2.4.8-5.7-1.9-1.5-2Z"'
_LINE = 'fill="none" stroke="currentColor" stroke-width="1.6"'
BOLD = '<text x="-9" y="4" font-weight="700">12</text>'


def spot(x: float, y: float) -> str:
    """A filled mark."""
    return f'<circle cx="{coordinate(x)}" cy="{coordinate(y)}" r="4.2"/>'


def ring(x: float, y: float) -> str:
    """A hollow mark."""
    place = f'cx="{coordinate(x)}" cy="{coordinate(y)}"'
    return f'<circle {place} r="3.6" {_LINE}/>'


def whisker(low: float, high: float, y: float) -> str:
    """A line with an end at both sides."""
    ends = coordinate(low), coordinate(high)
    return f'<path d="M{ends[0]} {coordinate(y - 4)}v8m0-4H{ends[1]}m0-4v8" {_LINE}/>'


def across(y: float, width: float) -> str:
    """A faint line from the left edge on."""
    return f'<path d="M0 {coordinate(y)}H{coordinate(width)}" stroke="currentColor" opacity=".18"/>'


def down(x: float, top: float, bottom: float) -> str:
    """A faint line from ``top`` to ``bottom``."""
    place = f"M{coordinate(x)} {coordinate(top)}V{coordinate(bottom)}"
    return f'<path d="{place}" stroke="currentColor" opacity=".18"/>'


def coordinate(value: float) -> str:
    """A number of pixels: less than a tenth of one cannot be seen."""
    return f"{value:.1f}".removesuffix(".0")


def is_double(text: str) -> bool:
    """Whether the text has letters that are as wide as two."""
    return any(east_asian_width(letter) in "WF" for letter in text)
