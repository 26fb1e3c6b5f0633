"""A placed picture as SVG: no script, nothing outside it, and every name escaped."""

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from zoo.draw.picture import Box, Part, Picture
from zoo.draw.placing import Placing, place
from zoo.draw.words import clipped, columns, wrapped

MARK = "drawn by zoo draw"  # by which files are known again

_LINE, _LETTER = 16, 7.25  # pixels of a text's line, and of a letter of 12 px that is as wide as all others
_MOST, _LEAST = 30, 16  # letters of a box's line
_INNER, _GAP, _ABOVE = 9, 28, 52  # pixels beside a box's text, between boxes, and between ranks
_GREY = "#8a949e"  # seen on white and on black
_BELOW = 18  # of them where links go straight on, beside the shape
_MARGIN, _AROUND = 28, 14  # around everything, and of a panel


def as_svg(picture: Picture, title: str) -> str:
    """A document of its own, in light and dark as its reader has it."""
    style = files("zoo.draw").joinpath("svg.css").read_text(encoding="utf-8")
    head = f"<!-- {MARK} --><title>{escape(title)}</title><style>{style}</style>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{element(picture, head)}\n'


def element(picture: Picture, head: str = "") -> str:
    """The ``<svg>`` element alone, for a page with its style."""
    return _Drawing(picture).svg(head)


class _Drawing:
    """The measures of a picture, and its elements."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._texts = [_texts(box) for box in picture.boxes]
        widest = max(columns(line) for lines in self._texts for part in lines for line in part)
        self._box = _LETTER * max(_LEAST, widest) + 2 * _INNER
        self._places: Placing = place(picture, self._box + _GAP)
        self._heights = [_height(lines) for lines in self._texts]
        self._tops, self._bottoms = self._ranks()

    def _ranks(self) -> tuple[list[float], list[float]]:
        """The upper and the lower end of every rank."""
        highest: dict[int, float] = {}
        for number, (_, rank) in self._places.boxes.items():
            highest[rank] = max(highest.get(rank, 0), self._heights[number])
        tops, at = [], float(_MARGIN)
        for rank in sorted(highest):
            tops.append(at)
            at += highest[rank] + _ABOVE
        return tops, [top + highest[rank] for rank, top in enumerate(tops)]

    def svg(self, head: str) -> str:
        width = round(max(self._ends()) + _MARGIN)
        height = round(self._bottoms[-1] + _MARGIN)
        inside = [*self._panels(), *self._links(), *self._boxes()]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">{head}\n' + "\n".join(inside) + "\n</svg>"
        )

    def _ends(self) -> Iterator[float]:
        """How far to the right everything goes."""
        yield self._places.width + self._box / 2 + _MARGIN
        for number, box in enumerate(self._picture.boxes):
            yield self._middle(number) + max(self._box / 2, columns(box.exit) * _LETTER + 7)
        for first, last, said in self._picture.panels:
            right = max(map(self._middle, range(first, last + 1))) + self._box / 2
            yield right + _AROUND + 8 + columns(said) * _LETTER

    def _middle(self, number: int) -> float:
        return self._places.boxes[number][0] + self._box / 2 + _MARGIN

    def _top(self, number: int) -> float:
        return self._tops[self._places.boxes[number][1]]

    def _boxes(self) -> Iterator[str]:
        for number, box in enumerate(self._picture.boxes):
            yield from self._box_of(number, box)

    def _box_of(self, number: int, box: Box) -> Iterator[str]:
        middle, top, height = self._middle(number), self._top(number), self._heights[number]
        about = escape("\n\n".join(part.about for part in box.parts))
        yield f'<g class="box" tabindex="0"><title>{about}</title>'
        width = self._box if not box.is_blob else _LETTER * max(map(columns, self._texts[number][0])) + 22
        at, left = top, middle - width / 2
        for part, lines in zip(box.parts, self._texts[number], strict=True):
            yield _rectangle(part, left, at, width, _LINE * len(lines) + 8)
            yield from _lines(lines, middle, at + 16, part is not box.parts[0])
            at += _LINE * len(lines) + 8
        yield "</g>"
        if box.exit:
            yield _text(box.exit, middle + 7, top + height + 15, 'class="shape"')

    def _links(self) -> Iterator[str]:
        entries: dict[int, list[tuple[float, int]]] = {}
        for start, end in self._picture.links:
            passing = self._places.links.get((start, end), ())
            entries.setdefault(end, []).append(
                (passing[-1][0] if passing else self._places.boxes[start][0], start)
            )
        for end, sources in entries.items():
            for place_of, (_, start) in enumerate(sorted(sources)):
                step = min(14.0, (self._box - 20) / len(sources))
                yield self._link(start, end, step * (place_of - (len(sources) - 1) / 2))

    def _link(self, start: int, end: int, aside: float) -> str:
        rank = self._places.boxes[start][1]
        x, y = self._middle(start), self._top(start) + self._heights[start]
        path = f"M{x:.1f} {y:.1f}"
        for at, passed in self._places.links.get((start, end), ()):
            path += _bend(x, self._bottoms[rank] + _BELOW, at + self._box / 2 + _MARGIN, self._tops[passed])
            x, rank = at + self._box / 2 + _MARGIN, passed
        path += _bend(x, self._bottoms[rank] + _BELOW, self._middle(end) + aside, self._top(end) - 6)
        path += "v6m-3.5-6 3.5 6 3.5-6"
        return f'<path class="link" fill="none" stroke="{_GREY}" d="{path}"/>'

    def _panels(self) -> Iterator[str]:
        for first, last, said in self._picture.panels:
            numbers = range(first, last + 1)
            left = min(map(self._middle, numbers)) - self._box / 2 - _AROUND
            right = max(map(self._middle, numbers)) + self._box / 2 + _AROUND
            top = min(map(self._top, numbers)) - _AROUND
            bottom = max(self._top(number) + self._heights[number] for number in numbers) + 22
            yield (
                f'<rect rx="10" fill="{_GREY}" fill-opacity="0.13" '
                f"{_at(left, top, right - left, bottom - top)}/>"
                + _text(said, right + 8, (top + bottom) / 2, 'class="times"')
            )


def _texts(box: Box) -> list[list[str]]:
    """The lines of each part: a box's first has its name, type and numbers a line each, what works in place a
    line, a blob its name and shape.
    """
    first, *rest = box.parts
    if box.is_blob:
        return [[clipped(f"{first.name} {first.type}".strip(), _MOST + 10)]]
    lines = [first.name, first.type] if first.name else [first.type]
    head = [*(clipped(line, _MOST) for line in lines), *wrapped(first.numbers, _MOST)]
    return [head, *([_in_place(part)] for part in rest)]


def _in_place(part: Part) -> str:
    words = f"{part.type} {part.name}" if part.name else part.type
    numbers = f" ({', '.join(part.numbers)})" if part.numbers else ""
    return words + numbers if columns(words + numbers) <= _MOST else clipped(words, _MOST)


def _height(texts: Sequence[Sequence[str]]) -> float:
    return sum(_LINE * len(lines) + 8 for lines in texts)


def _rectangle(part: Part, left: float, top: float, width: float, height: float) -> str:
    where = _at(left, top, width, height)
    if part.family is None:
        return f'<rect rx="{height / 2}" fill="{_GREY}" fill-opacity="0.1" stroke="{_GREY}" {where}/>'
    colour = f'fill="{part.family.colour}" fill-opacity="0.2" stroke="{part.family.colour}"'
    return f'<rect class="{part.family.key}" rx="3" {colour} {where}/>'


def _at(left: float, top: float, width: float, height: float) -> str:
    return f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'


def _text(words: str, x: float, y: float, look: str) -> str:
    return f'<text {look} x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _lines(lines: Sequence[str], middle: float, top: float, is_in_place: bool) -> Iterator[str]:
    for index, line in enumerate(lines):
        is_name = index == 0 and len(lines) > 1 and not is_in_place
        name = 'class="name" ' if is_name else ""
        yield _text(line, middle, top + _LINE * index, f'{name}text-anchor="middle"')


def _bend(x: float, y: float, to_x: float, to_y: float) -> str:
    if abs(x - to_x) < 0.1:
        return f"V{to_y:.1f}"
    half = (y + to_y) / 2
    return f"V{y:.1f}C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {to_y:.1f}"
