"""SpatialTransformer as daerduoCarey wrote it, who runs it on GPUs alone."""

from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import checked_size, not_in_place
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_NAMES = tuple(f"theta_{row}_{column}" for row in (1, 2) for column in (1, 2, 3))


@dataclass(frozen=True)
class SpatialTransformerSpec(Spec):
    """Of SpatialTransformer: the matrix's 6 numbers, None where the second bottom has it."""

    size: tuple[int, int]
    fixed: tuple[float | None, ...]
    learns_image: bool = True


@layer(
    "SpatialTransformer",
    source="daerduoCarey/SpatialTransformerLayer: st_layer.cu, st_layer.cpp",
    bottoms=(2, 2),
    fields=("st_param",),
    macs=free,
)
class SpatialTransformer(Layer):
    """The image at the places that an affine matrix makes of an even grid, rows first, bilinear, and 0 beyond
    it. Both axes go from -1 to 1, of which the last pixel stands one pixel short. Without ``to_compute_dU``
    the image takes no gradient. At a pixel's middle the gradient of the place is that from below on.
    """

    spec: SpatialTransformerSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)
        param, (image, theta) = message.st_param, bottoms
        for field, only in (("transform_type", "affine"), ("sampler_type", "bilinear")):
            if getattr(param, field) != only:
                raise InputError(f'{field} is "{only}", not "{getattr(param, field)}"', message.name)
        fixed = tuple(getattr(param, name) if param.HasField(name) else None for name in _NAMES)
        if (
            len(image) != 4
            or len(theta) < 2
            or theta[1:].numel() != fixed.count(None)
            or theta[0] != image[0]
        ):
            shapes = f"{tuple(image)} and {tuple(theta)}"
            raise InputError(
                f"takes (N, C, H, W) and (N, {fixed.count(None)}), what st_param does not say, not {shapes}",
                message.name,
            )
        height = param.output_H if param.HasField("output_H") else image[2]
        width = param.output_W if param.HasField("output_W") else image[3]
        checked_size(message, "top", (*image[:2], height, width))
        self.spec = SpatialTransformerSpec((height, width), fixed, param.to_compute_dU)

    def _matrix(self, theta: Tensor) -> Tensor:
        """(N, 2, 3)."""
        numbers, taken = theta.flatten(1).t(), count()
        rows = [
            numbers[next(taken)] if value is None else torch.full_like(theta.flatten(1)[:, 0], value)
            for value in self.spec.fixed
        ]
        return torch.stack(rows, 1).reshape(-1, 2, 3)

    def _grid(self, like: Tensor) -> Tensor:
        """(3, output_H · output_W): the row, the column and 1 of every place."""
        sides = self.spec.size
        rows, columns = (
            torch.arange(side, dtype=torch.float64, device=like.device) / side * 2 - 1 for side in sides
        )
        row, column = rows.repeat_interleave(sides[1]), columns.repeat(sides[0])
        return torch.stack([row, column, torch.ones_like(row)]).to(like)

    def forward(self, image: Tensor, theta: Tensor) -> Tensor:
        """(N, C, H, W) and (N, …) to (N, C, output_H, output_W)."""
        height, width = image.shape[2:]
        places = self._matrix(theta) @ self._grid(theta)
        row, column = (places[:, 0] + 1) / 2 * height, (places[:, 1] + 1) / 2 * width
        values = (image if self.spec.learns_image else image.detach()).flatten(2)
        top, left = row.detach().floor(), column.detach().floor()
        total = torch.zeros_like(values[:, :, :1])
        for down in (0, 1):
            for across in (0, 1):
                m, n = top + down, left + across
                inside = (m >= 0) & (m < height) & (n >= 0) & (n < width)
                weight = (1 - (m - row if down else row - m)) * (1 - (n - column if across else column - n))
                index = torch.where(inside, m, 0.0).long() * width + torch.where(inside, n, 0.0).long()
                taken = values.gather(2, index.unsqueeze(1).expand(-1, values.shape[1], -1))
                total = total + torch.where(inside, weight, 0.0).unsqueeze(1) * taken
        return total.reshape(*image.shape[:2], *self.spec.size)
