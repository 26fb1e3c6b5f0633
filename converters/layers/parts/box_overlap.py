"""Overlaps of boxes of middles and sides, pair by pair, and what moves a box to overlap more."""

import torch
from torch import Tensor

from converters.layers.parts.cells import corners


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of (…, 4) middles and sides and as many; 0 where they do not meet."""
    first, second = corners(a), corners(b)
    sides = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    shared = torch.where((sides < 0).any(-1), 0.0, sides.prod(-1))
    return shared / (_area(a) + _area(b) - shared)


def generalised_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Overlap less the share of the box around both that is in neither (Rezatofighi 2019)."""
    first, second = corners(a), corners(b)
    around = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    ratio = overlap(a, b)
    union = (_area(a) + _area(b)) / (1 + ratio)
    return ratio - (around.prod(-1) - union) / around.prod(-1)


def _area(box: Tensor) -> Tensor:
    return box[..., 2] * box[..., 3]


def overlap_slopes(pred: Tensor, truth: Tensor, is_generalised: bool) -> Tensor:
    """Darknet's slopes of the (generalised) overlap by the middle and the sides of ``pred``, of the sides
    twice what they are: (…, 4) twice to that. They are those of boxes that meet, whether these do or not.
    """
    a, b = corners(pred), corners(truth)
    shared = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    around = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    inside, outside = shared.prod(-1, keepdim=True), around.prod(-1, keepdim=True)
    union = (_area(pred) + _area(truth)).unsqueeze(-1) - inside
    signs = pred.new_tensor([-1.0, -1.0, 1.0, 1.0])  # a corner to the left or the top makes boxes smaller
    by_area = signs * _other(pred[..., 2:])
    is_within = torch.cat([a[..., :2] > b[..., :2], a[..., 2:] < b[..., 2:]], -1)
    by_shared = torch.where(is_within, signs * _other(shared), 0.0)
    by_union = by_area - by_shared
    slopes = torch.where(union > 0, (union * by_shared - inside * by_union) / union.square(), 0.0)
    if is_generalised:
        is_beyond = torch.cat([a[..., :2] < b[..., :2], a[..., 2:] > b[..., 2:]], -1)
        by_around = torch.where(is_beyond, signs * _other(around), 0.0)
        more = (outside * by_union - union * by_around) / outside.square()
        slopes = slopes + torch.where(outside > 0, more, 0.0)
    return torch.cat([slopes[..., :2] + slopes[..., 2:], slopes[..., 2:] - slopes[..., :2]], -1)


def _other(sides: Tensor) -> Tensor:
    """Of (…, 2) of width and height the height and the width, twice: what moving an edge covers."""
    return sides.flip(-1).repeat(*(1,) * (sides.dim() - 1), 2)
