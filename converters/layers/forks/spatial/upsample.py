"""Upsample, which SegNet and YOLO have under one name, and YOLO's Reorg."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import check_planes, checked_size, not_in_place, positive
from converters.layers.choice import Dialect
from converters.layers.parts.gradient import asks_gradient
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class NearestSpec(Spec):
    """Of Upsample of one bottom."""

    scale: int = 1


@layer(
    "Upsample",
    source="eric612/MobileNet-YOLO: upsample_layer.cpp",
    macs=free,
    fields=("upsample_param.scale",),
    dialect=Dialect("mobilenet-yolo", also=("darknet",), is_default=True),
)
class NearestUpsample(Layer):
    """Every pixel ``scale`` (1 where nothing is said) by ``scale`` times, with the sum of their gradients."""

    spec: NearestSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)
        check_planes(message, bottoms[0])
        param = message.upsample_param
        self.spec = NearestSpec(param.scale if param.HasField("scale") else 1)
        positive(message, scale=self.spec.scale)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, scale·H, scale·W)."""
        scale, (_, _, height, width) = self.spec.scale, x.shape
        spread = x[:, :, :, None, :, None].expand(-1, -1, -1, scale, -1, scale)
        return spread.reshape(*x.shape[:2], height * scale, width * scale)


@dataclass(frozen=True)
class UnpoolingSpec(Spec):
    """Of Upsample with a mask: a ``size``, or else the factors, less one row or column where it is padded."""

    size: tuple[int, int] = (0, 0)
    scale: tuple[int, int] = (2, 2)
    pad_out: tuple[int, int] = (0, 0)

    @classmethod
    def read(cls, message: LayerParameter) -> "UnpoolingSpec":
        """The message's numbers, of which a size beats the others. Raises InputError for what SegNet's layer
        refuses.
        """
        param = message.upsample_param
        has_size = param.HasField("upsample_h") and param.HasField("upsample_w")
        has_sides = param.HasField("scale_h")
        scale = (param.scale_h, param.scale_w) if has_sides else (param.scale, param.scale)
        size = (param.upsample_h, param.upsample_w) if has_size else (0, 0)
        if min(size if has_size else scale) < 2:
            raise InputError("scale, scale_h, scale_w, upsample_h and upsample_w are 2 or more", message.name)
        if has_size:
            return cls(size)
        pad_out = int(param.pad_out_h), int(param.pad_out_w)
        if any(pad and factor != 2 for pad, factor in zip(pad_out, scale, strict=True)):
            raise InputError("pad_out_h and pad_out_w go with a scale of 2", message.name)
        return cls(size, scale, pad_out)

    def out(self, height: int, width: int) -> tuple[int, int]:
        """The top's height and width."""
        if any(self.size):
            return self.size
        return height * self.scale[0] - self.pad_out[0], width * self.scale[1] - self.pad_out[1]


@layer(
    "Upsample",
    source="alexgkendall/caffe-segnet: upsample_layer.cpp",
    bottoms=(2, 2),
    labels=(),
    macs=free,
    indices={
        1: lambda module, bottoms: module.spec.out(*bottoms[0][2:])[0] * module.spec.out(*bottoms[0][2:])[1]
    },
    fields=("upsample_param.scale",),
    dialect=Dialect(
        "segnet",
        also=("enet",),
        fields=tuple(
            f"upsample_param.{name}"
            for name in ("scale_h", "scale_w", "pad_out_h", "pad_out_w", "upsample_h", "upsample_w")
        ),
    ),
)
class SegNetUpsample(Layer):
    """Unpooling: zeros, and every value at the place of its plane that the mask of a MAX pooling names. Of
    several at one place the last stays, and each of them gets that place's gradient. Where the plane pooled
    from had another width the places mean other pixels: they are taken as they are.
    """

    spec: UnpoolingSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)
        check_planes(message, bottoms[0])
        if bottoms[0] != bottoms[1]:
            raise InputError(f"bottoms differ: {tuple(bottoms[0])} and {tuple(bottoms[1])}", message.name)
        self.spec = UnpoolingSpec.read(message)
        self.index = Index(message, "mask", bottom=1)
        checked_size(message, "top", (*bottoms[0][:2], *self.spec.out(*bottoms[0][2:])))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, C, H, W) and places of the same shape to (N, C, H', W')."""
        height, width = self.spec.out(*x.shape[2:])
        place = self.index(mask, height * width).flatten(2)
        values, empty = x.flatten(2), x.new_zeros(*x.shape[:2], height * width)
        top = _last_at(place, values.detach(), empty)
        if asks_gradient(x):
            total = empty.scatter_add(2, place, values)  # its gradient is SegNet's
            top = total + (top - total).detach()
        return top.reshape(*x.shape[:2], height, width)


def _last_at(place: Tensor, values: Tensor, empty: Tensor) -> Tensor:
    """Of the values at each place the last, 0 where there is none: (N, C, P) twice, (N, C, Q) to that."""
    order = torch.arange(values.shape[2], device=values.device).expand_as(place)
    last = torch.full_like(empty, -1, dtype=torch.long).scatter_reduce(2, place, order, "amax")
    return torch.where(last < 0, empty, values.gather(2, last.clamp(min=0)))


@dataclass(frozen=True)
class ReorgSpec(Spec):
    """Of Reorg."""

    stride: int
    reverse: bool = False


@layer("Reorg", source="eric612/MobileNet-YOLO: reorg_layer.cpp", macs=free, fields=("reorg_param",))
class Reorg(Layer):
    """Darknet's reorg. Backwards (``reverse``) each s² planes become one of s times the height and width,
    whose s by s squares have a pixel of each. Forwards it reads the bottom's memory as if those were in it,
    of s² fewer channels, and takes them apart: this is no space-to-depth. The fork's backward pass reads
    memory that nothing wrote; the gradient here is the derivative.
    """

    spec: ReorgSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)
        check_planes(message, bottoms[0])
        self.spec = ReorgSpec(message.reorg_param.stride, message.reorg_param.reverse)
        positive(message, stride=self.spec.stride)
        _, channels, *sides = bottoms[0]
        if channels % self.spec.stride**2:
            raise InputError(
                f"stride² {self.spec.stride**2} does not divide {channels} channels", message.name
            )
        if not self.spec.reverse and any(side % self.spec.stride for side in sides):
            raise InputError(f"stride {self.spec.stride} does not divide {tuple(sides)}", message.name)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C·s², H/s, W/s), or to (N, C/s², H·s, W·s)."""
        s, (count, channels, height, width) = self.spec.stride, x.shape
        few = channels // s**2
        if self.spec.reverse:
            squares = x.reshape(count, s, s, few, height, width).permute(0, 3, 4, 1, 5, 2)
            return squares.reshape(count, few, height * s, width * s)
        planes = x.reshape(count, few, height, s, width, s).permute(0, 3, 5, 1, 2, 4)
        return planes.reshape(count, channels * s**2, height // s, width // s)
