"""Spatial pyramid pooling."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import check_planes, positive
from converters.layers.parts.stochastic import stochastic_pool
from converters.layers.parts.windows import Pair, Windows, average_pool, is_symbolic, max_pool
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter, SPPParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class SPPSpec(Spec):
    """Of SPP."""

    pool: str
    pyramid_height: int


@layer("SPP", source="spp_layer.cpp", macs=free)
class SPP(Layer):
    """Poolings of 1, 2, 4, … bins a side, flattened and joined: (N, C, H, W) to (N, C·bins); a pyramid of
    height 1 keeps its axes (spp_layer.cpp). Where an image's side is no multiple of the number of bins, Caffe
    pads both of its ends with half of the pixels missing to the next multiple, rounded up.
    """

    spec: SPPSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.spp_param
        self.spec = SPPSpec(SPPParameter.PoolMethod.Name(param.pool), param.pyramid_height)
        positive(message, pyramid_height=self.spec.pyramid_height)
        check_planes(message, bottoms[0])
        if self.spec.pyramid_height > 31:  # 2^31 bins and more pass an int
            raise InputError(f"pyramid_height {self.spec.pyramid_height} is too high", message.name)
        for level in range(self.spec.pyramid_height):
            windows = pyramid_windows(2**level, (bottoms[0][2], bottoms[0][3]))
            if any(windows.pad) and self.spec.pool == "STOCHASTIC":
                raise InputError("STOCHASTIC pooling takes no padding", message.name)
            windows.check(message, bottoms[0])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, features)."""
        pooled = [self._pool(x, 2**level) for level in range(self.spec.pyramid_height)]
        return pooled[0] if len(pooled) == 1 else torch.cat([y.flatten(1) for y in pooled], 1)

    def _pool(self, x: Tensor, bins: int) -> Tensor:
        windows = pyramid_windows(bins, (x.shape[2], x.shape[3]))
        if self.spec.pool == "STOCHASTIC":
            return stochastic_pool(x, windows, self.training)
        if is_symbolic(windows.kernel):
            of_bins = _max_of_bins if self.spec.pool == "MAX" else _mean_of_bins
            return of_bins(x, windows, bins)
        return max_pool(x, windows) if self.spec.pool == "MAX" else average_pool(x, windows)


def pyramid_windows(bins: int, size: Pair) -> Windows:
    """The kernel, its stride and padding that cut an image of (height, width) into ``bins`` a side
    (SPPLayer::GetPoolingParam).
    """
    height, width = ((side + bins - 1) // bins for side in size)
    top, left = ((k * bins - side + 1) // 2 for k, side in zip((height, width), size, strict=True))
    return Windows((height, width), (height, width), (top, left))


def _members(x: Tensor, windows: Windows, bins: int, axis: int) -> Tensor:
    """Which rows or columns each bin covers, (bins, size): for torch's pooling a kernel is a number."""
    places = torch.arange(x.shape[2 + axis], device=x.device) + windows.pad[axis]
    wanted = torch.arange(bins, device=x.device)[:, None]
    return places // windows.kernel[axis] == wanted


def _max_of_bins(x: Tensor, windows: Windows, bins: int) -> Tensor:
    least = torch.finfo(x.dtype).min
    rows = torch.where(_members(x, windows, bins, 0)[:, :, None], x[:, :, None], least).amax(3)
    return torch.where(_members(x, windows, bins, 1), rows[:, :, :, None], least).amax(4)


def _mean_of_bins(x: Tensor, windows: Windows, bins: int) -> Tensor:
    """The padded image holds every bin whole, so that all have one area."""
    rows, columns = (_members(x, windows, bins, axis).to(x.dtype) for axis in (0, 1))
    return rows @ x @ columns.t() / (windows.kernel[0] * windows.kernel[1])
