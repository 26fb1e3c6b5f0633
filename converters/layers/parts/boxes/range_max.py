"""The greatest value of each of many rectangles of a map, at a cost that does not grow with their areas."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Span = tuple[Tensor, Tensor]  # first (included) and last (excluded) pixel along an axis


class Best(NamedTuple):
    """Greatest values, and where in its plane each of them stands first; without the latter where nobody
    asks.
    """

    value: Tensor
    place: Tensor | None


def best_of_rectangles(x: Best, image: Tensor, rows: Span, columns: Span) -> Best:
    """Of rectangles of pixels the greatest of each channel, of equal ones the first, row by row.

    ``x`` is (N, H, W, C); ``image`` (R,) says which of N; ``rows`` are two of (R, P), ``columns`` two of
    (R, Q), within the map, whole numbers. Gives (R·P·Q, C); of an empty rectangle what happens to be there.
    Any rectangle is covered by four whose sides are powers of 2, and those of each such size are worked out
    once for all places.
    """
    size, (down, right) = x.value.shape, (_level(span) for span in (rows, columns))
    levels = _levels(down, size[1])
    tables = _tables(x, levels, _levels(right, size[2]))
    table = (right[:, None, :] * levels + down[:, :, None]) * size[0] + image[:, None, None]
    best = None
    for row in (rows[0], rows[1] - 2**down):
        for column in (columns[0], columns[1] - 2**right):
            index = (table * size[1] + row[:, :, None]) * size[2] + column[:, None, :]
            corner = _selected(tables, 0, _within(index, tables.value))
            best = corner if best is None else _better(best, corner)
    assert best is not None
    return best


def _within(index: Tensor, part: Tensor) -> Tensor:
    """An empty rectangle may begin or end outside: whatever is read for it is not used."""
    return index.clamp(0, part.shape[0] - 1).reshape(-1)


def _level(span: Span) -> Tensor:
    """The power of the greatest 2**power that is no longer than each span; 0 of an empty one."""
    length = (span[1] - span[0]).clamp(min=1)
    return torch.log2(length.double()).floor().long()


def _levels(needed: Tensor, size: int) -> int:
    """How many powers are worked out along an axis: all that fit, where the values cannot be looked at."""
    if torch.compiler.is_compiling() or needed.is_meta or not needed.numel():
        return int(size).bit_length()
    return int(needed.max()) + 1


def _tables(x: Best, down: int, right: int) -> Best:
    """The best of every 2**i by 2**j pixels: (j, i, N, H, W) in one axis, then channels."""
    wide = _stacked(_windows(x, 2, right), 0)
    return _each(_stacked(_windows(wide, 2, down), 1), lambda part: part.flatten(0, -2))


def _windows(x: Best, axis: int, powers: int) -> list[Best]:
    """The best of every 1, 2, 4, … pixels along an axis, of fewer at its end: each joined with the next."""
    every = [x]
    place = torch.arange(x.value.shape[axis], device=x.value.device)
    for power in range(powers - 1):
        ahead = (place + 2**power).clamp(max=len(place) - 1)
        every.append(_better(every[-1], _selected(every[-1], axis, ahead)))
    return every


def _stacked(every: list[Best], axis: int) -> Best:
    places = [x.place for x in every if x.place is not None]
    return Best(torch.stack([x.value for x in every], axis), torch.stack(places, axis) if places else None)


def _each(x: Best, change: Callable[[Tensor], Tensor]) -> Best:
    return Best(change(x.value), None if x.place is None else change(x.place))


def _better(a: Best, b: Best) -> Best:
    if a.place is None or b.place is None:
        return Best(torch.maximum(a.value, b.value), None)
    takes = (b.value > a.value) | ((b.value == a.value) & (b.place < a.place))
    return Best(torch.where(takes, b.value, a.value), torch.where(takes, b.place, a.place))


def _selected(x: Best, axis: int, index: Tensor) -> Best:
    return _each(x, lambda part: part.index_select(axis, index))
