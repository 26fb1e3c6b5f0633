"""Anchors of region proposal networks, and the boxes that deltas make of boxes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class Anchors:
    """A box for each ratio of height to width and, of each ratio, for each scale, about the middle of the
    first ``base_size`` pixels; the same at every ``feat_stride`` pixels (py-faster-rcnn's generate_anchors).
    """

    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    scales: tuple[float, ...] = (8.0, 16.0, 32.0)
    base_size: int = 16
    feat_stride: int = 16

    @property
    def count(self) -> int:
        """How many there are at each place."""
        return len(self.ratios) * len(self.scales)

    def of_map(self, like: Tensor, height: int, width: int) -> Tensor:
        """(height·width·count, 4) corners in pixels, row by row, of the dtype and device of ``like``."""
        shapes = [self._shape(ratio, scale) for ratio in self.ratios for scale in self.scales]
        half = (like.new_tensor(shapes, dtype=torch.float64) - 1) / 2
        middle = (self.base_size - 1) / 2
        base = torch.cat([middle - half, middle + half], 1)
        rows, columns = (torch.arange(n, device=like.device) * self.feat_stride for n in (height, width))
        shifts = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1] * 2, -1)
        return (shifts.reshape(-1, 1, 4) + base).reshape(-1, 4).to(like.dtype)

    def _shape(self, ratio: float, scale: float) -> tuple[float, float]:
        """Width and height: rounded for the ratio, then times the scale."""
        width = math.floor(math.sqrt(self.base_size**2 / ratio) + 0.5)
        return width * scale, math.floor(width * ratio + 0.5) * scale


def checked_shapes(
    message: LayerParameter, ratios: Sequence[float], scales: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Both. Raises InputError for none, for a ratio that is not above 0, and for one or a scale that is not
    finite: no box has them.
    """
    if not (ratios and scales):
        raise InputError("takes at least one ratio and one scale", message.name)
    if not all(0 < ratio < math.inf for ratio in ratios) or not all(map(math.isfinite, scales)):
        raise InputError("ratios must be numbers above 0, and scales numbers", message.name)
    return tuple(ratios), tuple(scales)


def by_place(x: Tensor, values: int) -> Tensor:
    """(1, A·values, H, W) to (H·W·A, values), in the order of anchors."""
    return x[0].permute(1, 2, 0).reshape(-1, values)


def moved(boxes: Tensor, deltas: Tensor) -> Tensor:
    """Boxes of corners (N, 4) whose middles move by deltas (N, 4) of dx and dy, in widths and heights, and
    whose sides grow by e to the dw and dh; a box is one pixel wider than its corners are apart.
    """
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    middle = boxes[:, :2] + 0.5 * sides
    middle, half = deltas[:, :2] * sides + middle, 0.5 * (deltas[:, 2:].exp() * sides)
    return torch.cat([middle - half, middle + half], 1)


def deltas_to(boxes: Tensor, goal: Tensor) -> Tensor:
    """The deltas by which :func:`moved` makes ``goal`` of ``boxes``: (N, 4) twice to that."""
    sides, wanted = (corners[:, 2:] - corners[:, :2] + 1 for corners in (boxes, goal))
    away = (goal[:, :2] + 0.5 * wanted) - (boxes[:, :2] + 0.5 * sides)
    return torch.cat([away / sides, (wanted / sides).log()], 1)


def within(boxes: Tensor, size: Sequence[Tensor] | Tensor) -> Tensor:
    """Corners (N, 4) cut off at an image of ``size`` height and width."""
    most = torch.stack([size[1], size[0]] * 2) - 1
    return boxes.minimum(most).clamp(min=0)
