"""The demo data's 20 classes: what tells them apart.

A pattern is a function of cell coordinates (u, v): how deep in the ink a place lies, in cells, negative
outside. It is drawn at any size and turn by handing it scaled and turned coordinates.
"""

from collections.abc import Callable
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating]
Pattern = Callable[[Plane, Plane], Plane]

# One fixed table of coin tosses, for the patterns that toss one per cell.
_COINS = np.random.Generator(np.random.Philox(9)).integers(0, 2, (64, 64)).astype(np.float32) * 2 - 1


def _abs(field: Plane) -> Plane:
    return np.asarray(np.abs(field), np.float32)


def _all(*fields: Plane) -> Plane:
    """Inside every one of them."""
    return reduce(np.minimum, fields)


def _any(*fields: Plane) -> Plane:
    """Inside any one of them."""
    return reduce(np.maximum, fields)


def _centred(u: Plane) -> Plane:
    """The place within its cell, from -0.5 to 0.5."""
    return np.asarray(u - np.floor(u) - np.float32(0.5), np.float32)


def _staggered(u: Plane, v: Plane) -> Plane:
    """u, with every second row moved by half a cell."""
    return np.asarray(u + np.float32(0.5) * (np.floor(v) % 2), np.float32)


def _toss(u: Plane, v: Plane) -> Plane:
    cells = np.floor(v).astype(np.int32) & 63, np.floor(u).astype(np.int32) & 63
    return np.asarray(_COINS[cells], np.float32)


def _polar(a: Plane, b: Plane) -> tuple[Plane, Plane]:
    radius, angle = cv2.cartToPolar(a, b)
    return np.asarray(radius, np.float32), np.asarray(angle, np.float32)


def _stripes(u: Plane, v: Plane) -> Plane:
    return 0.25 - _abs(_centred(u))


def _checks(u: Plane, v: Plane) -> Plane:
    a, b = _abs(_centred(u)) - 0.25, _abs(_centred(v)) - 0.25
    return _all(_abs(a), _abs(b)) * np.sign(a * b)


def _dots(u: Plane, v: Plane) -> Plane:
    return 0.3 - cv2.magnitude(_centred(_staggered(u, v)), _centred(v))


def _rings(u: Plane, v: Plane) -> Plane:
    return 0.1 - _abs(cv2.magnitude(_centred(u), _centred(v)) - 0.33)


def _zigzag(u: Plane, v: Plane) -> Plane:
    return 0.2 - 0.8 * _abs(_centred(v + 1.2 * _abs(_centred(0.8 * u))))


def _bricks(u: Plane, v: Plane) -> Plane:
    rows = 1.6 * v
    across, along = _abs(_centred(rows)) / 1.6, _abs(_centred(_staggered(0.8 * u, rows))) / 0.8
    return _all(0.3125 - across, 0.625 - along) - 0.07


def _honeycomb(u: Plane, v: Plane) -> Plane:
    rise = np.float32(3**0.5)

    def inside(a: Plane, b: Plane) -> Plane:
        return 0.5 - _any(_abs(a), _abs(a) * 0.5 + _abs(b) * (rise / 2))

    here = inside(_centred(u), _centred(v / rise) * rise)
    there = inside(_centred(u + 0.5), _centred(v / rise + 0.5) * rise)
    return 0.1 - _any(here, there)


def _crosses(u: Plane, v: Plane) -> Plane:
    a, b = _abs(_centred(u)), _abs(_centred(v))
    return _any(_all(0.12 - a, 0.38 - b), _all(0.38 - a, 0.12 - b))


def _stars(u: Plane, v: Plane) -> Plane:
    radius, angle = _polar(_centred(0.8 * u), _centred(0.8 * v))
    return 0.32 + 0.11 * np.cos(5 * angle) - radius


def _triangles(u: Plane, v: Plane) -> Plane:
    a, b = _centred(_staggered(u, v)), _centred(v) - 0.1
    return 0.2 - _any(_abs(a) * 0.866 + b * 0.5, -b)


def _waves(u: Plane, v: Plane) -> Plane:
    return 0.2 - 0.8 * _abs(_centred(v + 0.3 * np.sin(u * 4.2)))


def _spirals(u: Plane, v: Plane) -> Plane:
    radius, angle = _polar(_centred(u / 2), _centred(v / 2))
    coil = 0.25 - _abs(_centred(5 * radius - angle / np.float32(2 * np.pi)))
    return 0.4 * _all(coil, 5 * (0.48 - radius))


def _grid(u: Plane, v: Plane) -> Plane:
    return _any(_abs(_centred(u)), _abs(_centred(v))) - 0.4


def _scales(u: Plane, v: Plane) -> Plane:
    field = np.full_like(u, -1)
    for row in (1, 0, -1):
        b = 0.5 * (v * 2 - np.floor(v * 2) + row)
        radius = cv2.magnitude(_centred(u + 0.5 * ((np.floor(v * 2) + row) % 2)), b)
        field = np.where(radius < 0.56, 0.09 - _abs(radius - 0.48), field)
    return field


def _maze(u: Plane, v: Plane) -> Plane:
    return 0.14 - _abs(_centred(u) + _toss(u, v) * _centred(v)) * 0.707


def _weave(u: Plane, v: Plane) -> Plane:
    u, v = u * 0.8, v * 0.8
    lengthwise = (np.floor(u) + np.floor(v)) % 2 > 0
    return 0.33 * (0.25 - _abs(_centred(np.where(lengthwise, 3 * u, 3 * v))))


def _hearts(u: Plane, v: Plane) -> Plane:
    a, b = _abs(_centred(0.9 * u)), -_centred(0.9 * v)
    return 0.33 - cv2.magnitude(a, b * 1.1 - 0.65 * np.sqrt(a) + 0.17)


def _moons(u: Plane, v: Plane) -> Plane:
    a, b = _centred(u), _centred(v)
    return _all(0.38 - cv2.magnitude(a, b), cv2.magnitude(a - 0.17, b) - 0.27)


def _diamonds(u: Plane, v: Plane) -> Plane:
    return 0.3 - 0.9 * _abs(_centred(1.3 * u)) - 0.5 * _abs(_centred(0.75 * v))


def _arcs(u: Plane, v: Plane) -> Plane:
    a, b = _centred(u) * _toss(u, v), _centred(v)
    return 0.12 - _all(
        _abs(cv2.magnitude(a + 0.5, b + 0.5) - 0.5), _abs(cv2.magnitude(a - 0.5, b - 0.5) - 0.5)
    )


PATTERNS: dict[str, Pattern] = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "rings": _rings,
    "zigzag": _zigzag,
    "bricks": _bricks,
    "honeycomb": _honeycomb,
    "crosses": _crosses,
    "stars": _stars,
    "triangles": _triangles,
    "waves": _waves,
    "spirals": _spirals,
    "grid": _grid,
    "scales": _scales,
    "maze": _maze,
    "weave": _weave,
    "hearts": _hearts,
    "moons": _moons,
    "diamonds": _diamonds,
    "arcs": _arcs,
}
