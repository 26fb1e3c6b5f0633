"""Layers that give a plane another size: Interp and CropCenter."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import checked_size, positive
from converters.layers.parts.legacy_axes import check_axes, four, four_axes
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class InterpSpec(Spec):
    """Of Interp: the bottom, cropped by ``pad_beg`` and ``pad_end`` (0 or below), shrunk and then zoomed, or
    given a ``size``, or made ``full_zoom_factor`` times as large.
    """

    size: tuple[int, int] = (0, 0)
    shrink_factor: int = 1
    zoom_factor: int = 1
    full_zoom_factor: int = 1
    pad_beg: int = 0
    pad_end: int = 0

    @classmethod
    def read(cls, message: LayerParameter) -> "InterpSpec":
        """The message's numbers, of which shrink_factor or zoom_factor alone beats height and width, and
        these both of them. Raises InputError where nothing gives a size, or a number is out of range.
        """
        param = message.interp_param
        factors = {
            name: getattr(param, name) for name in ("shrink_factor", "zoom_factor", "full_zoom_factor")
        }
        positive(message, **factors)
        if param.pad_beg > 0 or param.pad_end > 0:
            raise InputError("pad_beg and pad_end crop: they are 0 or below", message.name)
        begin, end = param.pad_beg, param.pad_end
        shrinks, zooms = param.HasField("shrink_factor"), param.HasField("zoom_factor")
        has_size = param.HasField("height") and param.HasField("width")
        if shrinks != zooms or (shrinks and not has_size):
            return cls((0, 0), param.shrink_factor, param.zoom_factor, 1, begin, end)
        if has_size:
            positive(message, height=param.height, width=param.width)
            return cls((param.height, param.width), 1, 1, 1, begin, end)
        if param.HasField("full_zoom_factor"):
            return cls((0, 0), 1, 1, param.full_zoom_factor, begin, end)
        raise InputError("needs height and width, shrink_factor or zoom_factor", message.name)

    def out(self, size: int, axis: int) -> int:
        """How long the top is along height (0) or width (1), of a cropped bottom's length."""
        if self.size[axis]:
            return self.size[axis]
        shrunk = (size - 1) // self.shrink_factor + 1
        return (shrunk + (shrunk - 1) * (self.zoom_factor - 1)) * self.full_zoom_factor


@layer(
    "Interp", source="hszhao/PSPNet: interp_layer.cpp, util/interp.cpp", macs=free, fields=("interp_param",)
)
class Interp(Layer):
    """Bilinear, corner pixels on corner pixels, of (N, C, H, W) cropped first. Of one pixel to many the step
    is 0, of many to one the first counts. The top has 4 axes whatever the bottom has. ``full_zoom_factor`` is
    synopsys-caffe's.
    """

    spec: InterpSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_axes(message, bottoms[0], 1)
        shape = four(bottoms[0])
        self.spec = InterpSpec.read(message)
        left = [size + self.spec.pad_beg + self.spec.pad_end for size in shape[2:]]
        if min(left) < 1:
            raise InputError(f"pad_beg and pad_end leave nothing of {shape[2:]}", message.name)
        checked_size(message, "top", [*shape[:2], *(self.spec.out(n, axis) for axis, n in enumerate(left))])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), later axes 1 where there are none, to (N, C, H', W')."""
        x = four_axes(x)
        begin, end = self.spec.pad_beg, self.spec.pad_end
        if begin or end:
            x = F.pad(x, [begin, end, begin, end])
        size = [self.spec.out(x.shape[2 + axis], axis) for axis in (0, 1)]
        return F.interpolate(x, size, mode="bilinear", align_corners=True)


@dataclass(frozen=True)
class CropCenterSpec(Spec):
    """Of CropCenter: how much goes at each end of each axis."""

    crop_size: tuple[int, ...]


@layer("CropCenter", source="lltcggie/caffe: crop_center_layer.cpp", macs=free, fields=("crop_center_param",))
class CropCenter(Layer):
    """The bottom without ``crop_size`` values at each end of an axis, of which there is one an axis
    (waifu2x).
    """

    spec: CropCenterSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        sizes, shape = tuple(message.crop_center_param.crop_size), bottoms[0]
        if len(sizes) != len(shape):
            raise InputError(f"takes a crop_size an axis, {len(shape)}, not {len(sizes)}", message.name)
        for axis, (size, length) in enumerate(zip(sizes, shape, strict=True)):
            if 2 * size >= length:
                raise InputError(f"crop_size {size} leaves nothing of {length} on axis {axis}", message.name)
        self.spec = CropCenterSpec(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """(…, a, …) to (…, a - 2·crop_size, …)."""
        for axis, size in enumerate(self.spec.crop_size):
            x = x.narrow(axis, size, x.shape[axis] - 2 * size) if size else x
        return x
