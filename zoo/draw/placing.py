"""Where boxes and links lie: in layers from the top down, after K. Sugiyama, by the library fast-sugiyama."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prototxt.errors import InputError
from zoo.draw.picture import Picture

_THIN = 0.12  # how wide a link is that passes a layer, in parts of a box and the gap beside it

Point = tuple[float, float]


@dataclass(frozen=True)
class Placing:
    """The middle of each box, as (x in pixels, rank from the top), and of each link where it passes a rank
    between its ends.
    """

    boxes: Mapping[int, tuple[float, int]]
    links: Mapping[tuple[int, int], Sequence[tuple[float, int]]]

    @property
    def width(self) -> float:
        """The largest x of anything."""
        passing = (place for places in self.links.values() for place in places)
        return max(x for x, _ in (*self.boxes.values(), *passing))


def place(picture: Picture, spacing: float) -> Placing:
    """Every box with ``spacing`` pixels to the middle of its neighbour at least. Parts of a net that no blob
    joins stand side by side.
    """
    boxes: dict[int, tuple[float, int]] = {}
    links: dict[tuple[int, int], list[tuple[float, int]]] = {}
    left = 0.0
    for positions, edges in _parts(picture, spacing):
        least = min(x for x, _ in positions.values())
        ranks = {y: rank for rank, y in enumerate(sorted({y for _, y in positions.values()}, reverse=True))}
        places = {number: (x - least + left, ranks[y]) for number, (x, y) in positions.items()}
        boxes |= {number: at for number, at in places.items() if number < len(picture.boxes)}
        links |= _routes(places, edges, len(picture.boxes))
        left = max(x for x, _ in places.values()) + spacing
    return Placing(boxes, links)


def _library() -> Any:
    try:
        from fast_sugiyama import from_edges
    except ImportError:
        raise InputError("a drawing needs the package fast-sugiyama: pip install 'caffe-zoo[draw]'") from None
    return from_edges


def _parts(picture: Picture, spacing: float) -> Iterator[tuple[dict[int, Point], list[tuple[int, int]]]]:
    """Each part that blobs join, as the library has it: links as edges from one rank to the next, and numbers
    above the boxes' where they pass one.
    """
    found = _library()(
        picture.links,
        vertex_spacing=spacing,
        dummy_vertices=True,
        dummy_size=_THIN,
        ranking_type="minimize",
        check_layout=False,
    )
    for positions, _, _, edges in found:
        places = {int(number): (float(x), float(y)) for number, (x, y) in positions}
        yield places, [(int(start), int(end)) for start, end in edges or ()]
    joined = {number for link in picture.links for number in link}
    for number in range(len(picture.boxes)):
        if number not in joined:
            yield {number: (0.0, 0.0)}, []


def _routes(
    places: Mapping[int, tuple[float, int]], edges: Sequence[tuple[int, int]], count: int
) -> Iterator[tuple[tuple[int, int], list[tuple[float, int]]]]:
    """Each link with where it passes."""
    following = {start: end for start, end in edges if start >= count}
    for start, first in edges:
        if start >= count:
            continue
        passing, end = [], first
        while end >= count:
            passing.append(places[end])
            end = following[end]
        yield (start, end), passing
