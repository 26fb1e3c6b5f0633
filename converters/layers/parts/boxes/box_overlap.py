"""Overlaps of boxes of middles and sides, pair by pair, and what moves a box to overlap more."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from converters.layers.parts.boxes.cells import corners


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of (…, 4) middles and sides and as many; 0 where they do not meet."""
    return overlap_of_corners(corners(a), corners(b), _area(a) + _area(b))


def overlap_of_corners(a: Tensor, b: Tensor, areas: Tensor) -> Tensor:
    """Intersection over union of corners (…, 4) and as many, whose areas (…) together are ``areas``; 0 where
    they do not meet.
    """
    shared = _common(a, b).clamp(min=0).prod(-1)
    return shared / (areas - shared)


def _common(a: Tensor, b: Tensor) -> Tensor:
    """Width and height of what corners have in common, below 0 where they do not meet: (…, 2)."""
    return torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])


def generalised_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Overlap less the share of the box around both that is in neither (Rezatofighi 2019)."""
    outside = _around(a, b).prod(-1)
    ratio = overlap(a, b)
    union = (_area(a) + _area(b)) / (1 + ratio)
    return ratio - (outside - union) / outside


def distance_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Overlap less how far the middles are apart, as a share of the diagonal around both (Zheng 2019), whose
    square darknet raises to 0.6.
    """
    return overlap(a, b) - _apart(a, b) ** 0.6


def complete_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Overlap less the squared share, and less what the ratios of the sides differ (Zheng 2019)."""
    ratio, turn = overlap(a, b), _turn(a, b)
    different = 4 / math.pi**2 * turn * turn
    return ratio - _apart(a, b) - different * different / (1 - ratio + different + 1e-6)


KINDS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "IOU": overlap,
    "MSE": overlap,
    "GIOU": generalised_overlap,
    "DIOU": distance_overlap,
    "CIOU": complete_overlap,
}


def _area(box: Tensor) -> Tensor:
    return box[..., 2] * box[..., 3]


def _around(a: Tensor, b: Tensor) -> Tensor:
    """Width and height of the box around both: (…, 2)."""
    first, second = corners(a), corners(b)
    return torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """The squared distance of the middles over that of the corners of the box around both."""
    return (a - b)[..., :2].square().sum(-1) / _around(a, b).square().sum(-1)


def _turn(pred: Tensor, truth: Tensor) -> Tensor:
    """How far the angle of the truth's diagonal is from that of ``pred``."""
    return (truth[..., 2] / truth[..., 3]).atan() - (pred[..., 2] / pred[..., 3]).atan()


def overlap_slopes(pred: Tensor, truth: Tensor, kind: str) -> Tensor:
    """Darknet's slopes of an overlap by the middle and the sides of ``pred``, (…, 4) twice to that.
    They are not the derivatives: IOU's by the sides are doubled, DIOU takes the box around both to shrink
    where it grows with the middle, and CIOU leaves the length of the diagonal out. Boxes that do not meet
    have only what a kind adds to IOU, and for IOU the slopes of such as do.
    """
    a, b = corners(pred), corners(truth)
    shared = _common(a, b)
    inside = shared.prod(-1, keepdim=True)
    union = (_area(pred) + _area(truth)).unsqueeze(-1) - inside
    by_shared = torch.where(_beyond(b, a), _moving(shared), 0.0)
    by_union = _moving(pred[..., 2:]) - by_shared
    slopes = torch.where(union > 0, (union * by_shared - inside * by_union) / union.square(), 0.0)
    slopes = _of_middle_and_sides(slopes)
    if kind == "IOU":
        return slopes
    more = _more_generalised(pred, truth, union, by_union) if kind == "GIOU" else _more_distant(pred, truth)
    if kind == "CIOU":
        more = more + _more_alike(pred, truth, inside / union)
    return more + torch.where((shared <= 0).any(-1, keepdim=True), 0.0, slopes)


def _beyond(a: Tensor, b: Tensor) -> Tensor:
    """Which edges of corners ``a`` lie further out than those of ``b``: (…, 4)."""
    return torch.cat([a[..., :2] < b[..., :2], a[..., 2:] > b[..., 2:]], -1)


def _of_middle_and_sides(slopes: Tensor) -> Tensor:
    """Those of left, top, right and bottom as those of the middle and, twice, of the sides."""
    return torch.cat([slopes[..., :2] + slopes[..., 2:], slopes[..., 2:] - slopes[..., :2]], -1)


def _more_generalised(pred: Tensor, truth: Tensor, union: Tensor, by_union: Tensor) -> Tensor:
    """The slopes of the union's share of the box around both."""
    around = _around(pred, truth)
    outside = around.prod(-1, keepdim=True)
    by_around = torch.where(_beyond(corners(pred), corners(truth)), _moving(around), 0.0)
    more = (outside * by_union - union * by_around) / outside.square()
    return _of_middle_and_sides(torch.where(outside > 0, more, 0.0))


def _more_distant(pred: Tensor, truth: Tensor) -> Tensor:
    """The slopes of the squared share by which the middles are apart, as darknet has them."""
    around, away = _around(pred, truth), (truth - pred)[..., :2]
    diagonal = around.square().sum(-1, keepdim=True)
    distance = away.square().sum(-1, keepdim=True)
    beyond = _beyond(corners(pred), corners(truth)).to(pred)
    low, high = beyond[..., :2], beyond[..., 2:]
    middle = (2 * away * diagonal - 2 * around * (high - low) * distance) / diagonal.square()
    return torch.cat([middle, around * (high + low) * distance / diagonal.square()], -1)


def _more_alike(pred: Tensor, truth: Tensor, ratio: Tensor) -> Tensor:
    """The slopes of what the ratios of the sides differ, by the sides alone."""
    turn = _turn(pred, truth).unsqueeze(-1)
    different = 4 / math.pi**2 * turn * turn
    weight = different / (1 - ratio + different + 1e-6)
    sides = weight * 8 / math.pi**2 * turn * pred[..., 2:].flip(-1) * pred.new_tensor([1.0, -1.0])
    return torch.cat([torch.zeros_like(sides), sides], -1)


def _moving(sides: Tensor) -> Tensor:
    """What an area of (…, 2) width and height gains as its left, top, right and bottom edges move: (…, 4)."""
    other = sides.flip(-1)
    return torch.cat([-other, other], -1)
