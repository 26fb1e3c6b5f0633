"""Spatial pyramid pooling."""

import math

import torch
from torch import Tensor, nn

from converters.layers.pooling import Pooling
from converters.layers.registry import Layer, Shapes, layer, positive
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@layer("SPP")
class SPP(Layer):
    """Poolings of 1, 2, 4, … bins a side, flattened and joined: (N, C, H, W) to (N, C·bins); a pyramid of
    height 1 keeps its axes (spp_layer.cpp). Where the bins do not divide the image, Caffe pads both
    sides by half of what lacks, rounded up.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        height = message.spp_param.pyramid_height
        positive(message, pyramid_height=height)
        if len(bottoms[0]) != 4:
            raise InputError(f"pools (N, C, H, W), not {len(bottoms[0])} axes", message.name)
        if height > 31:  # 2^31 bins and more pass an int
            raise InputError(f"pyramid_height {height} is too high", message.name)
        self.levels = nn.ModuleList(
            Pooling(_level(message, level, bottoms[0]), bottoms) for level in range(height)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, features)."""
        pooled = [level(x) for level in self.levels]
        return pooled[0] if len(pooled) == 1 else torch.cat([y.flatten(1) for y in pooled], 1)


def _level(message: LayerParameter, level: int, shape: torch.Size) -> LayerParameter:
    """The Pooling layer of one level of the pyramid."""
    made = LayerParameter(name=message.name, type="Pooling", top=["level"])
    made.pooling_param.pool = message.spp_param.pool  # type: ignore[assignment]
    for side, size in (("h", shape[2]), ("w", shape[3])):
        kernel = math.ceil(size / 2**level)
        missing = kernel * 2**level - size
        setattr(made.pooling_param, f"kernel_{side}", kernel)
        setattr(made.pooling_param, f"stride_{side}", kernel)
        setattr(made.pooling_param, f"pad_{side}", (missing + 1) // 2)
    return made
