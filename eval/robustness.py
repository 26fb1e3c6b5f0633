"""Photographs shifted and zoomed: what a classifier should take without minding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

PixelBatch = np.ndarray[Any, np.dtype[np.uint8]]

_DIRECTIONS = ((0, -1), (0, 1), (-1, 0), (1, 0))  # left, right, up, down, as (row, column)


@dataclass(frozen=True)
class Condition:
    """One way of serving photographs: ``kind`` is shift (a share of the input's side), scale (a zoom
    about the centre) or size (of the input, in training sizes).
    """

    key: str
    kind: str
    amount: float


PLAIN = "plain"
CONDITIONS = (
    Condition("shift 1/16", "shift", 1 / 16),
    Condition("shift 1/8", "shift", 1 / 8),
    Condition("shift 1/4", "shift", 1 / 4),
    Condition("scale 0.75", "scale", 0.75),
    Condition("scale 0.875", "scale", 0.875),
    Condition("scale 1.14", "scale", 1.14),
    Condition("scale 1.33", "scale", 1.33),
    Condition("size 0.5", "size", 0.5),
    Condition("size 0.75", "size", 0.75),
    Condition("size 1.5", "size", 1.5),
)


def shifted(pixels: PixelBatch, turns: Sequence[int], distance: int) -> PixelBatch:
    """(N, H, W, C) images moved by ``distance`` pixels, each left, right, up or down as its turn mod 4 is
    0, 1, 2, 3.

    Each image moves one way alone: four times the photographs at one cost tell more than four directions
    of each. What comes in at the edge repeats the last pixel row: a border of the mean colour would be an
    edge that no photograph has, and is what a convolution's padding already looks like.
    """
    moves = [_DIRECTIONS[turn % 4] for turn in turns]
    return np.stack(
        [_moved(image, distance * y, distance * x) for image, (y, x) in zip(pixels, moves, strict=True)]
    )


def _moved(image: PixelBatch, down: int, right: int) -> PixelBatch:
    height, width = image.shape[:2]
    rows = (np.arange(height) - down).clip(0, height - 1)
    columns = (np.arange(width) - right).clip(0, width - 1)
    return np.asarray(image[rows[:, None], columns])


def zoomed(pixels: PixelBatch, factor: float) -> PixelBatch:
    """(N, H, W, C) images magnified by ``factor`` about their centre, at the same size, bilinear.

    Below 1 the border repeats the last pixel row, as in :func:`shifted`.
    """
    height, width = pixels.shape[1:3]
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, 0, factor)
    warped = [cv2.warpAffine(x, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE) for x in pixels]
    return np.stack(warped).astype(np.uint8, copy=False).reshape(pixels.shape)


def evenly(count: int, most: int) -> list[int]:
    """Up to ``most`` whole numbers below ``count``, all of them or evenly spaced."""
    if count <= most:
        return list(range(count))
    return [index * count // most for index in range(most)]
