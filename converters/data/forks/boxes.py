"""Arithmetic of SSD's boxes, (n, 4) float32: left, top, right, bottom as shares of an image
(bbox_util.cpp)."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Numbers = NDArray[np.float32]
Mask = NDArray[np.bool_]

UNIT = np.array([0, 0, 1, 1], np.float32)  # the whole image


def areas(boxes: Boxes) -> Numbers:
    """(n,): 0 of a box that is inside out."""
    sides = boxes[..., 2:] - boxes[..., :2]
    area: Numbers = np.where((sides < 0).any(-1), np.float32(0), sides[..., 0] * sides[..., 1])
    return area


def intersections(one: Boxes, other: Boxes) -> Boxes:
    """What two boxes have in common, for arrays that broadcast; zeros where that is nothing."""
    beside = (other[..., :2] > one[..., 2:]) | (other[..., 2:] < one[..., :2])
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    common: Boxes = np.where(beside.any(-1, keepdims=True), np.float32(0), np.concatenate([low, high], -1))
    return common


def overlaps(one: Boxes, other: Boxes) -> Numbers:
    """Jaccard's: the share of what both cover together that they have in common."""
    common = intersections(one, other)
    sides = common[..., 2:] - common[..., :2]
    shared = np.where((sides > 0).all(-1), sides[..., 0] * sides[..., 1], np.float32(0))
    return _share(shared, areas(one) + areas(other) - shared)


def coverages(boxes: Boxes, by: Boxes) -> Numbers:
    """The share of ``boxes`` that lies in ``by``."""
    return _share(areas(intersections(boxes, by)), areas(boxes))


def _share(part: Numbers, whole: Numbers) -> Numbers:
    share: Numbers = np.divide(part, whole, out=np.zeros_like(part), where=part > 0)
    return share


def clipped(boxes: Boxes) -> Boxes:
    """The part within the image."""
    return np.clip(boxes, np.float32(0), np.float32(1))


def projected(boxes: Boxes, source: Boxes) -> tuple[Boxes, Mask]:
    """Boxes as shares of the part ``source`` of their image, cut off at its edges, and which of them have any
    of themselves in it.
    """
    corner, size = np.tile(source[:2], 2), np.tile(source[2:] - source[:2], 2)
    within = clipped(((boxes - corner) / size).astype(np.float32))
    beside = (boxes[:, :2] >= source[2:]).any(1) | (boxes[:, 2:] <= source[:2]).any(1)
    return within, ~beside & (areas(within) > 0)
