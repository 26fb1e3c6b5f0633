"""A panel of a figure of variants: their numbers, and marks on one axis beside or under them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator

from zoo.plots.strokes import ACCENT, coordinate, down, ring, spot, whisker

_DIGIT = 7.7  # px, in a wide font
_TICK = 48  # px from tick to tick, at least


class Value(NamedTuple):
    """A figure and the ends of its whisker, in the panel's unit."""

    value: float
    low: float
    high: float


class Cell(NamedTuple):
    """A variant in a panel: the filled mark, the hollow one; ``is_best``: nothing is shown to be better."""

    full: Value | None
    small: float | None
    is_best: bool


@dataclass(frozen=True)
class Panel:
    """A title with the unit, a cell a variant, and whether the axis begins at 0.

    ``decimals`` are those of its numbers; None: three digits or so. Numbers that are differences are
    ``is_signed``, and their axis shows 0.
    """

    title: str
    cells: tuple[Cell, ...]
    is_from_zero: bool
    decimals: int | None = None
    is_signed: bool = False

    def numbers(self, cell: Cell) -> tuple[str, str]:
        """Those of the filled and the hollow mark, as they are printed."""
        return self._written(cell.full.value if cell.full else None), self._written(cell.small)

    def _written(self, value: float | None) -> str:
        if value is None:
            return "–"
        by_size = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
        decimals = by_size if self.decimals is None else self.decimals
        sign = "+" if self.is_signed and round(value, decimals) else ""
        return f"{round(value, decimals) + 0.0:{sign}.{decimals}f}".replace("-", "−")

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest that the axis must show."""
        spans = [number for cell in self.cells for number in cell.full or ()]
        numbers = spans + [cell.small for cell in self.cells if cell.small is not None]
        numbers += [0.0] * self.is_signed
        low, high = min(numbers), max(numbers)
        if self.is_from_zero:
            return 0.0, high or 1.0
        return (low, high) if low < high else (low - 1, high + 1)


class Place(NamedTuple):
    """Where a panel begins, its width, and whether its marks stand beside their numbers or under them."""

    left: float
    width: float
    is_beside: bool


@dataclass(frozen=True)
class Column:
    """A panel where it stands; ``kinds`` says what its two numbers are, empty where it has one."""

    panel: Panel
    place: Place
    kinds: str
    starred: tuple[bool, ...]

    def drawn(self, edges: Sequence[float]) -> Iterator[str]:
        """The column over rows that begin and end at ``edges``."""
        left = coordinate(self.place.left)
        yield f'<text x="{left}" y="14" font-weight="600">{escape(self.panel.title)}</text>'
        yield f'<text x="{left}" y="29" font-size="11" opacity=".8">{escape(self.kinds)}</text>'
        yield from self._ticks(edges[-1])
        for cell, is_starred, top, end in zip(self.panel.cells, self.starred, edges, edges[1:], strict=False):
            middle = (top + end) / 2 if self.place.is_beside else end - 16
            lines = self._axis + [0.0] * self.panel.is_signed  # that at 0 twice, to stand out
            yield from (down(self._x(tick), middle - 11, end) for tick in lines)
            yield self._numbers(cell, middle + 4 if self.place.is_beside else middle - 17)
            yield self._marks(cell, middle, is_starred)

    @cached_property
    def _axis(self) -> list[float]:
        low, high = self.panel.ends
        locator = MaxNLocator(max(1, int(self._strip[1] / _TICK)), steps=[1, 2, 5, 10])
        return [float(tick) for tick in locator.tick_values(low, high) if low <= tick <= high]

    def _ticks(self, bottom: float) -> Iterator[str]:
        for tick in self._axis:
            place = f'x="{coordinate(self._x(tick))}" y="{coordinate(bottom + 16)}" text-anchor="middle"'
            yield f'<text {place} font-size="11" opacity=".8">{self._tick(tick)}</text>'

    def _tick(self, tick: float) -> str:
        return f"{tick:{'+' * (self.panel.is_signed and tick > 0)}g}".replace("-", "−")

    def _numbers(self, cell: Cell, y: float) -> str:
        full, small = self.panel.numbers(cell)
        weight = ' font-weight="700"' if cell.is_best else ""
        place = f'x="{coordinate(self.place.left)}" y="{coordinate(y)}"'
        return f"<text {place}><tspan{weight}>{full}</tspan>{f' / {small}' if self.kinds else ''}</text>"

    def _marks(self, cell: Cell, y: float, is_starred: bool) -> str:
        """The hollow mark under the filled one, where there are both."""
        drawn, apart = "", 0 if cell.small is None else 5
        if cell.full:
            middle, low, high = map(self._x, cell.full)
            drawn = (whisker(low, high, y - apart) if low < high else "") + spot(middle, y - apart)
        if cell.small is not None:
            drawn += ring(self._x(cell.small), y + 7)
        ink = f'color="{ACCENT}"' if is_starred else 'opacity=".65"'
        return f"<g {ink}>{drawn}</g>"

    @cached_property
    def _strip(self) -> tuple[float, float]:
        """Where the marks begin and how wide they spread; half a mark is left free at both ends."""
        texts = [" / ".join(self.panel.numbers(cell)[: 2 if self.kinds else 1]) for cell in self.panel.cells]
        beside = _DIGIT * max(map(len, texts)) + 8 if self.place.is_beside else 0
        return self.place.left + beside + 7, self.place.width - beside - 14

    def _x(self, value: float) -> float:
        (left, width), (low, high) = self._strip, self.panel.ends
        return left + width * (value - low) / (high - low)
