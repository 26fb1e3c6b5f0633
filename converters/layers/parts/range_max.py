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
    down, right = (_level(span) for span in (rows, columns))
    tables = _tables(x, _levels(down, x.value.shape[1]), _levels(right, x.value.shape[2]))
    levels = _levels(down, x.value.shape[1])
    size = x.value.shape
    table = (right[:, None, :] * levels + down[:, :, None]) * size[0] + image[:, None, None]
    best = None
    for row in (rows[0], rows[1] - 2**down):
        for column in (columns[0], columns[1] - 2**right):
            index = (table * size[1] + row[:, :, None]) * size[2] + column[:, None, :]
            corner = _each(tables, lambda part, at=index: part.index_select(0, _within(at, part)))
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
    if torch.compiler.is_compiling() or not needed.numel():
        return int(size).bit_length()
    return int(needed.max()) + 1


def _tables(x: Best, down: int, right: int) -> Best:
    """The best of every square of 2**i by 2**j pixels: (j, i, N, H, W) in one axis, then channels."""
    tables = []
    for j in range(right):
        wide = x if not j else _doubled(wide, 2, 2 ** (j - 1))
        high = wide
        for i in range(down):
            high = high if not i else _doubled(high, 1, 2 ** (i - 1))
            tables.append(high)
    value = torch.stack([table.value for table in tables]).flatten(0, -2)
    places = [table.place for table in tables if table.place is not None]
    return Best(value, torch.stack(places).flatten(0, -2) if places else None)


def _doubled(x: Best, axis: int, by: int) -> Best:
    """Each window along an axis joined with the one ``by`` behind it; those that reach outside stay."""
    size = x.value.shape[axis]
    near = _each(x, lambda part: part.narrow(axis, 0, size - by))
    far = _each(x, lambda part: part.narrow(axis, by, size - by))
    both = _better(near, far)
    rest = _each(x, lambda part: part.narrow(axis, size - by, by))
    return _joined(both, rest, axis)


def _joined(a: Best, b: Best, axis: int) -> Best:
    if a.place is None or b.place is None:
        return Best(torch.cat([a.value, b.value], axis), None)
    return Best(torch.cat([a.value, b.value], axis), torch.cat([a.place, b.place], axis))


def _better(a: Best, b: Best) -> Best:
    if a.place is None or b.place is None:
        return Best(torch.maximum(a.value, b.value), None)
    takes = (b.value > a.value) | ((b.value == a.value) & (b.place < a.place))
    return Best(torch.where(takes, b.value, a.value), torch.where(takes, b.place, a.place))


def _each(x: Best, do: Callable[[Tensor], Tensor]) -> Best:
    return Best(do(x.value), None if x.place is None else do(x.place))
