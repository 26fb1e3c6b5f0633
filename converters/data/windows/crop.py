"""Where a window lies in its image and in the crop it becomes (window_data_layer.cpp, load_batch)."""

from dataclasses import dataclass
from math import copysign, floor

import numpy as np

from converters.data.windows.file import Window
from prototxt.errors import InputError


@dataclass(frozen=True)
class Placement:
    """Corners in the image, both inside; the size it is resized to; its place in the crop."""

    x1: int
    y1: int
    x2: int
    y2: int
    width: int
    height: int
    pad_left: int = 0
    pad_top: int = 0


@dataclass(frozen=True)
class _Side:
    """One axis of a placement: first and last pixel, size in the crop, padding before and after."""

    first: int
    last: int
    size: int
    before: int
    after: int


def placement(
    window: Window, crop: int, context_pad: int, square: bool, image: tuple[int, int], mirror: bool
) -> Placement:
    """Where ``window`` of an ``image`` (height, width) goes.

    With context_pad or square the window grows until the pad, in the crop's pixels, surrounds it; what
    lies outside the image stays empty in the crop. Raises InputError where nothing of the image is left.
    """
    height, width = image
    if context_pad == 0 and not square:
        if window.x1 < 0 or window.y1 < 0 or window.x2 >= width or window.y2 >= height:
            raise InputError(f"the window leaves the image, {height}×{width}")
        return Placement(window.x1, window.y1, window.x2, window.y2, crop, crop)
    halves = _half(window.x1, window.x2), _half(window.y1, window.y2)
    larger = max(halves)
    half_x, half_y = (larger, larger) if square else halves
    scale = np.float32(crop) / np.float32(crop - 2 * context_pad)
    x = _grown(window.x1, halves[0], half_x * scale, width, crop)
    y = _grown(window.y1, halves[1], half_y * scale, height, crop)
    left = x.after if mirror else x.before
    columns, rows = min(x.size, crop - left), min(y.size, crop - y.before)
    if x.last < x.first or y.last < y.first or min(columns, rows) < 1:
        raise InputError(f"nothing of the window lies in the image, {height}×{width}")
    return Placement(x.first, y.first, x.last, y.last, columns, rows, left, y.before)


def _half(first: int, last: int) -> np.float32:
    return np.float32(np.float32(last - first + 1) / 2)


def _grown(first: int, half: np.float32, grown: np.float32, limit: int, crop: int) -> _Side:
    """An axis of the window grown to ``grown`` on each side of its centre, and clipped to the image."""
    centre = np.float32(first) + half
    start, end = _round(centre - grown), _round(centre + grown)
    outside_before, outside_after = max(0, -start), max(0, end - limit + 1)
    scale = np.float32(crop) / np.float32(end - start + 1)
    clipped = end - start + 1 - outside_before - outside_after
    return _Side(
        start + outside_before,
        end - outside_after,
        *(_round(np.float32(size) * scale) for size in (clipped, outside_before, outside_after)),
    )


def _round(value: np.float32) -> int:
    """To the nearest whole number, halves away from zero, as C rounds."""
    return int(copysign(floor(abs(float(value)) + 0.5), value))
