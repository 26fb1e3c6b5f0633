"""Boxes of MS-CNN: a place of a map looks at a field of a size, and a box is told from its field."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from converters.layers.parts.boxes.box_overlap import overlap_of_corners
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Four = tuple[float, float, float, float]


@dataclass(frozen=True)
class Deltas:
    """What deltas were divided by after a mean was taken off (bbox_reg_param)."""

    bbox_mean: Four = (0.0, 0.0, 0.0, 0.0)
    bbox_std: Four = (1.0, 1.0, 1.0, 1.0)

    def back(self, deltas: Tensor, dim: int) -> Tensor:
        """Normalised deltas, four of them along ``dim``, as they were."""
        return deltas * _along(self.bbox_std, deltas, dim) + _along(self.bbox_mean, deltas, dim)

    def normalised(self, deltas: Tensor, dim: int) -> Tensor:
        """The inverse of :meth:`back`."""
        return (deltas - _along(self.bbox_mean, deltas, dim)) / _along(self.bbox_std, deltas, dim)


AS_THEY_ARE = Deltas()


def deltas_of(message: LayerParameter) -> Deltas:
    """The layer's, none where bbox_mean or bbox_std is left out. Raises InputError unless there are 4 each,
    and every bbox_std is above 0.
    """
    param = message.bbox_reg_param
    if not (param.bbox_mean and param.bbox_std):
        return AS_THEY_ARE
    if len(param.bbox_mean) != 4 or len(param.bbox_std) != 4 or min(param.bbox_std) <= 0:
        raise InputError("takes 4 bbox_mean and 4 bbox_std, these above 0", message.name)
    mean, std = ((x[0], x[1], x[2], x[3]) for x in (param.bbox_mean, param.bbox_std))
    return Deltas(mean, std)


@dataclass(frozen=True)
class Field:
    """Fields ``field_w`` wide and ``field_h`` high about places that lie ``downsample_rate`` pixels apart.
    A box's middle lies at most 1/field_xyr of the field off its middle; its sides differ at most by a factor
    of field_whr.
    """

    field_w: float
    field_h: float
    downsample_rate: float
    field_whr: float
    field_xyr: float

    @property
    def bounds(self) -> tuple[float, float]:
        """The largest move of a middle, and the largest logarithm of a side's growth."""
        return 1 / self.field_xyr, log(self.field_whr)

    def boxes(self, deltas: Tensor) -> Tensor:
        """Deltas (N, 4, H, W) as left, top, width and height in pixels, within the bounds."""
        move, growth = self.bounds
        size = deltas.new_tensor([self.field_w, self.field_h]).reshape(1, 2, 1, 1)
        sides = size * deltas[:, 2:].clamp(-growth, growth).exp()
        middle = deltas[:, :2].clamp(-move, move) * size + self._middles(deltas)
        return torch.cat([middle - sides / 2, sides], 1)

    def deltas(self, boxes: Tensor) -> Tensor:
        """Boxes (N, 4, H, W) of middles and sides in pixels as deltas; a side counts as 2 at least."""
        size = boxes.new_tensor([self.field_w, self.field_h]).reshape(1, 2, 1, 1)
        moves = (boxes[:, :2] - self._middles(boxes)) / size
        return torch.cat([moves, (boxes[:, 2:].clamp(min=2) / size).log()], 1)

    def _middles(self, like: Tensor) -> Tensor:
        """(1, 2, H, W): the middles of the fields, across and down."""
        rows, columns = ((torch.arange(n, device=like.device) + 0.5) for n in like.shape[2:])
        grid = torch.meshgrid(rows, columns, indexing="ij")[::-1]
        return torch.stack(grid).to(like.dtype)[None] * self.downsample_rate


def fields_of(message: LayerParameter, count: int) -> list[Field]:
    """A BoxOutput's, one a bottom. Raises InputError for another number of them."""
    param = message.box_output_param
    lists: Sequence[Sequence[float]] = (param.field_w, param.field_h, param.downsample_rate)
    if any(len(values) != count for values in lists):
        raise InputError(
            f"takes a field_w, a field_h and a downsample_rate for each of {count} bottoms", message.name
        )
    bounds = checked_bounds(message, param.field_whr, param.field_xyr)
    return [Field(w, h, rate, *bounds) for w, h, rate in zip(*lists, strict=True)]


def checked_bounds(message: LayerParameter, whr: float, xyr: float) -> tuple[float, float]:
    """Both. Raises InputError for a field_whr below 1 or a field_xyr that is not above 0, whose bounds leave
    no box.
    """
    if not (whr >= 1 and xyr > 0):
        raise InputError(f"field_whr {whr:g} must be at least 1, and field_xyr {xyr:g} above 0", message.name)
    return whr, xyr


def _along(values: Four, like: Tensor, dim: int) -> Tensor:
    shape = [1] * like.dim()
    shape[dim] = 4
    return like.new_tensor(values).reshape(shape)


def pixel_sides(corners: Tensor) -> Tensor:
    """Corners (…, 4) of first and last pixels as left, top, width and height."""
    return torch.cat([corners[..., :2], corners[..., 2:] - corners[..., :2] + 1], -1)


def edges(boxes: Tensor) -> Tensor:
    """Left, top, width and height (…, 4) as left, top, right and bottom, where a box ends."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], -1)


def overlap_of(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (…, 4) of left, top, width and height, pair by pair; 0 where one has
    no size (BoxIOU).
    """
    found = overlap_of_corners(edges(a), edges(b), a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3])
    has_size = (a[..., 2:] > 0).all(-1) & (b[..., 2:] > 0).all(-1)
    return torch.where(has_size, found, 0.0)
