"""The pixels that a kernel sees, as channels."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, checked_size
from converters.layers.parts.geometry import geometry
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter


@dataclass(frozen=True)
class Im2colSpec(Spec):
    """A number an axis, of the spatial axes behind ``axis``."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1,)
    pad: tuple[int, ...] = (0,)
    dilation: tuple[int, ...] = (1,)
    axis: int = 1


@layer("Im2col", source="im2col_layer.cpp", macs=free)
class Im2col(Layer):
    """The pixels under each place of the kernel as channels: (…, C, spatial…) to
    (…, C·kernel…, places…), over any number of spatial axes (im2col_layer.cpp).
    """

    spec: Im2colSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        shape = bottoms[0]
        axis = canonical_axis(message, message.convolution_param.axis, len(shape))
        self.sides = sides = geometry(message, len(shape) - axis - 1)
        self.spec = Im2colSpec(sides.kernel, sides.stride, sides.pad, sides.dilation, axis)
        sizes = shape[axis + 1 :]
        sides.check_fit(message, sizes)
        checked_size(message, "top", [*shape[: axis + 1], *sides.kernel, *sides.sizes(sizes)])

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; see the class."""
        axis, sides, extent = self.spec.axis, self.sides, self.sides.extent
        first, axes = axis + 1, len(extent)
        windows = F.pad(x, [p for pad in reversed(sides.pad) for p in (pad, pad)]) if axes else x
        for i, (stride, dilation) in enumerate(zip(sides.stride, sides.dilation, strict=True)):
            windows = windows.unfold(first + i, extent[i], stride)[..., ::dilation]
        places, kernel = range(first, first + axes), range(first + axes, first + 2 * axes)
        columns = windows.permute(*range(first), *kernel, *places)
        return columns.flatten(axis, axis + axes)
