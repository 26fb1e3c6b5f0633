"""Variants over aligned panels of figures, as SVG: a wide form, and a narrow one for a telephone.

Drawn without matplotlib: both forms set the same content in columns of their own, and no text may run into
another in whatever font the page has, so room is left for the widest.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from zoo.plots.column import Column, Panel, Place
from zoo.plots.strokes import BOLD, STAR, across, coordinate, is_double, ring, spot, whisker

_LETTER = 8.4  # px: a bold letter on average, in a wide font


@dataclass(frozen=True)
class Panels:
    """The whole figure: the variants' names, which have a star, their panels, and what the legend says.

    ``small`` is empty where no cell has a hollow mark, ``bold`` and ``star`` where nothing is to be chosen.
    ``key`` begins the names that no other figure of a page may have; panels ``is_even`` are of one width.
    """

    title: str
    description: str
    names: tuple[str, ...]
    starred: tuple[bool, ...]
    panels: tuple[Panel, ...]
    full: str
    small: str
    whisker: str
    bold: str
    star: str
    key: str = "which"
    is_even: bool = False


class _Form(NamedTuple):
    """Sizes in px at the form's own width; ``names`` is the width of their column, 0: above their marks."""

    key: str
    width: int
    names: int
    gap: int
    shares: tuple[float, ...]  # of the panels


_WIDE = _Form("wide", 800, 168, 22, (1.7, 1.0, 1.0))
_NARROW = _Form("narrow", 350, 0, 14, (1.4, 1.0, 1.0))


def wide(figure: Panels) -> str:
    """The form for a page: names to the left, numbers beside their marks. An ``<svg>`` of 800 px."""
    return _drawn(figure, _WIDE)


def narrow(figure: Panels) -> str:
    """The form for a telephone: names and numbers above their marks. An ``<svg>`` of 350 px."""
    return _drawn(figure, _NARROW)


def _drawn(figure: Panels, form: _Form) -> str:
    edges = [38 if figure.small else 24]
    for name in figure.names:
        edges.append(edges[-1] + _row_height(name, form))
    columns = "".join(part for column in _columns(figure, form) for part in column.drawn(edges))
    legend, height = _legend(figure, form.width, edges[-1] + 40)
    key = f"{figure.key}-{form.key}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {form.width} {height}" font-size="12" '
        f'fill="currentColor" role="img" aria-labelledby="{key}-title" aria-describedby="{key}-text">'
        f'<title id="{key}-title">{escape(figure.title)}</title>'
        f'<desc id="{key}-text">{escape(figure.description)}</desc>'
        f"{''.join(_names(figure, form, edges))}{columns}{legend}</svg>"
    )


def _columns(figure: Panels, form: _Form) -> Iterator[Column]:
    """The panels side by side in the room that the names leave."""
    shares = (1.0,) * len(figure.panels) if figure.is_even else form.shares[: len(figure.panels)]
    room = form.width - form.names - form.gap * (len(shares) - 1)
    kinds = f"{figure.full} / {figure.small}" if figure.small else ""
    left = float(form.names)
    for panel, share in zip(figure.panels, shares, strict=True):
        width = room * share / sum(shares)
        yield Column(panel, Place(left, width, is_beside=form.names > 0), kinds, figure.starred)
        left += width + form.gap


def _row_height(name: str, form: _Form) -> int:
    lines = 15 * len(_wrapped(name, form))
    return max(30, lines + 12) if form.names else lines + 52


def _wrapped(name: str, form: _Form) -> list[str]:
    """A name in lines that fit beside the star."""
    room = (form.names or form.width) - 22
    return textwrap.wrap(name, int(room / (_LETTER * (1.5 if is_double(name) else 1)))) or [""]


def _names(figure: Panels, form: _Form, edges: Sequence[float]) -> Iterator[str]:
    for name, is_starred, top, end in zip(figure.names, figure.starred, edges, edges[1:], strict=False):
        yield across(top, form.width)
        lines = _wrapped(name, form)
        first = (top + end) / 2 + 4 - 7.5 * (len(lines) - 1) if form.names else top + 16
        if is_starred:
            yield f'<path transform="translate(7 {coordinate(first - 4)})" {STAR}/>'
        weight = ' font-weight="700"' if is_starred else ""
        for index, line in enumerate(lines):
            yield f'<text x="18" y="{coordinate(first + 15 * index)}"{weight}>{escape(line)}</text>'


def _legend(figure: Panels, width: int, top: int) -> tuple[str, int]:
    """What the marks mean, one after another as far as a line holds them; and the figure's height."""
    entries = (
        (spot(0, 0), figure.full),
        (ring(0, 0), figure.small),
        (whisker(-8, 8, 0), figure.whisker),
        (BOLD, figure.bold),
        (f"<path {STAR}/>", figure.star),
    )
    x, drawn = 10, ""
    for mark, text in ((mark, text) for mark, text in entries if text):
        needs = 38 + round(6.8 * len(text) * (1.75 if is_double(text) else 1))
        if x > 10 and x + needs > width:
            x, top = 10, top + 20
        label = f'<text x="15" y="4">{escape(text)}</text>'
        drawn += f'<g transform="translate({x} {top})">{mark}{label}</g>'
        x += needs
    return drawn, top + 12
