"""Layers that change a blob's shape and not its values."""

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, checked_size, not_in_place, positive
from converters.layers.choice import CAFFE, Dialect
from converters.layers.parts.gradient import without_gradient_to
from converters.layers.parts.grid import Grid, Line
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class FlattenSpec(Spec):
    """Of Flatten; both counted from the front."""

    axis: int
    end_axis: int


@layer("Flatten", source="flatten_layer.cpp", macs=free, routes=True)
class Flatten(Layer):
    """The axes from ``axis`` to ``end_axis`` made one; where the end lies just before the start, a new
    axis of 1 there (flatten_layer.cpp).
    """

    spec: FlattenSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)
        param = message.flatten_param
        start = canonical_axis(message, param.axis, len(bottoms[0]))
        end = canonical_axis(message, param.end_axis, len(bottoms[0]))
        self.spec = FlattenSpec(start, end)
        if end < start - 1:
            raise InputError(f"end_axis {param.end_axis} lies before axis {param.axis}", message.name)

    def forward(self, x: Tensor) -> Tensor:
        """(a, b, c, …) to (a, b·c·…) by default."""
        start, end = self.spec.axis, self.spec.end_axis
        return x.unsqueeze(start) if end < start else x.flatten(start, end)


@dataclass(frozen=True)
class ReshapeSpec(Spec):
    """Of Reshape: the axes from ``axis`` to before ``end`` become ``shape``."""

    shape: tuple[int, ...]
    axis: int
    end: int


@layer("Reshape", source="reshape_layer.cpp", macs=free, routes=True)
class Reshape(Layer):
    """The ``num_axes`` axes from ``axis`` on replaced by ``shape``, in which 0 copies the bottom's dim at
    that place and one -1 is what the count leaves. A negative axis counts from behind the last
    (reshape_layer.cpp).
    """

    spec: ReshapeSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)
        param = message.reshape_param
        axes = len(bottoms[0])
        start = param.axis if param.axis >= 0 else axes + param.axis + 1
        if not 0 <= start <= axes:
            raise InputError(f"axis {param.axis} is out of range for a blob of {axes} axes", message.name)
        end = axes if param.num_axes == -1 else start + param.num_axes
        if param.num_axes < -1 or end > axes:
            raise InputError(f"num_axes {param.num_axes} from axis {start} passes {axes} axes", message.name)
        self.spec = ReshapeSpec(tuple(param.shape.dim), start, end)
        self._check(message, bottoms[0])

    def _check(self, message: LayerParameter, shape: torch.Size) -> None:
        dims = list(self.spec.shape)
        if dims.count(-1) > 1 or min(dims, default=0) < -1:
            raise InputError(f"shape {dims} must hold positive dims, 0 and at most one -1", message.name)
        if any(dim == 0 and self.spec.axis + i >= len(shape) for i, dim in enumerate(dims)):
            raise InputError(f"shape {dims} copies an axis that {tuple(shape)} lacks", message.name)
        new = self._shape(shape)
        known = checked_size(message, "shape", [dim for dim in new if dim != -1])
        count = torch.Size(known).numel()
        if shape.numel() % count if -1 in new else shape.numel() != count:
            raise InputError(f"{tuple(shape)} cannot be given the shape {tuple(new)}", message.name)

    def _shape(self, shape: torch.Size) -> list[int]:
        middle = [dim or shape[self.spec.axis + i] for i, dim in enumerate(self.spec.shape)]
        return [*shape[: self.spec.axis], *middle, *shape[self.spec.end :]]

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to one of the same count."""
        return x.reshape(self._shape(x.shape))


@dataclass(frozen=True)
class CropSpec(Spec):
    """Of Crop: an offset for ``axis`` and each that follows."""

    axis: int = 2
    offset: tuple[int, ...] = (0,)


def _cut(message: LayerParameter, axes: int) -> tuple[int, tuple[int, ...]]:
    """The first of ``axes`` that is cut, and the offset of it and of each that follows."""
    axis = canonical_axis(message, message.crop_param.axis, axes)
    offsets, count = list(message.crop_param.offset) or [0], axes - axis
    if len(offsets) not in (1, count):
        raise InputError(f"{len(offsets)} offset for {count} axes from axis {axis} on", message.name)
    return axis, tuple(offsets * count if len(offsets) == 1 else offsets)


def crop_grid(message: LayerParameter) -> Grid:
    """Where Crop puts the pixels of (N, C, H, W)."""
    axis, offsets = _cut(message, 4)
    height, width = ((0,) * axis + offsets)[2:]
    return Line(shift=Fraction(-height)), Line(shift=Fraction(-width))


@layer(
    "Crop",
    source="crop_layer.cpp",
    bottoms=(2, 2),
    macs=free,
    routes=True,
    grid=crop_grid,
    dialect=Dialect(CAFFE, fields=("crop_param.axis", "crop_param.offset")),
)
class Crop(Layer):
    """The first bottom cut to the second's size along ``axis`` and all that follow, from ``offset``: none
    (0), one for all, or one each (crop_layer.cpp). The gradient of the second bottom is 0.
    """

    spec: CropSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        shape, reference = bottoms
        axis, offsets = _cut(message, len(shape))
        if len(reference) < len(shape):
            raise InputError(f"the size {tuple(reference)} lacks axes of {tuple(shape)}", message.name)
        self.spec = CropSpec(axis, offsets)
        for at, offset in enumerate(self.spec.offset, axis):
            if offset + reference[at] > shape[at]:
                raise InputError(
                    f"offset {offset} and size {reference[at]} pass {shape[at]} on axis {at}",
                    message.name,
                )

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """x and a blob to x's first axes with the blob's others."""
        for axis, offset in enumerate(self.spec.offset, self.spec.axis):
            x = x.narrow(axis, offset, reference.shape[axis])
        return without_gradient_to(reference, x)


@dataclass(frozen=True)
class TileSpec(Spec):
    """Of Tile."""

    axis: int
    tiles: int


@layer("Tile", source="tile_layer.cpp", macs=free, routes=True)
class Tile(Layer):
    """The bottom ``tiles`` times along ``axis`` (tile_layer.cpp)."""

    spec: TileSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.tile_param
        positive(message, tiles=param.tiles)
        axis = canonical_axis(message, param.axis, len(bottoms[0]))
        self.spec = TileSpec(axis, param.tiles)
        checked_size(message, "top", [param.tiles, *bottoms[0]])

    def forward(self, x: Tensor) -> Tensor:
        """(…, a, …) to (…, tiles·a, …)."""
        return x.repeat([self.spec.tiles if axis == self.spec.axis else 1 for axis in range(x.dim())])
