"""Where a crop is taken from an image, and an image that OpenCV cannot change."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import cv2
import numpy as np

from prototxt.errors import InputError


def crop_corner(
    size: Sequence[int], crop: Sequence[int], drawn: np.random.Generator | None
) -> tuple[int, int]:
    """The first row and column of a crop of an image of ``size``, both (height, width): drawn, or those of
    the one in the middle. Raises InputError where the crop is larger.
    """
    spare = [had - side for had, side in zip(size, crop, strict=True)]
    if min(spare) < 0:
        raise InputError(f"the crop {crop[0]}×{crop[1]} is larger than the image, {size[0]}×{size[1]}")
    row, column = (int(drawn.integers(rest + 1)) if drawn else rest // 2 for rest in spare)
    return row, column


@contextmanager
def feasible(what: str) -> Iterator[None]:
    """In the block OpenCV's refusal of an image, which would have no pixel or too many, is an InputError."""
    try:
        yield
    except cv2.error:
        raise InputError(f"cannot be {what}") from None


def resizable(to: str) -> AbstractContextManager[None]:
    """:func:`feasible`, of an image that is resized."""
    return feasible(f"resized {to}")
