"""Layers that scale, mix or turn round channels: Axpy, ChannelScale, Flip."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from converters.layers.base import Layer
from converters.layers.parts.gradient import without_gradient_to
from converters.layers.parts.legacy_axes import check_axes
from converters.layers.parts.passes import has_a_next
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import FillerParameter, LayerParameter
from prototxt.errors import InputError


@layer("Axpy", source="hujie-frank/SENet: axpy_layer.cpp", bottoms=(3, 3), macs=free)
class Axpy(Layer):
    """a·x + y, with one number of a, (N, C) or (N, C, 1, 1), a channel: a block of SENet."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        scale, x, y = bottoms
        if x != y:
            raise InputError(f"x and y differ in shape: {tuple(x)} and {tuple(y)}", message.name)
        if len(x) < 2 or scale[:2] != x[:2] or any(n != 1 for n in scale[2:]):
            raise InputError(f"the scale {tuple(scale)} has no number a channel of {tuple(x)}", message.name)

    def forward(self, scale: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """(N, C[, 1, 1]) and twice (N, C, …) to that shape."""
        return scale.reshape(*scale.shape[:2], *(1,) * (x.dim() - 2)) * x + y


@dataclass(frozen=True)
class ChannelScaleSpec(Spec):
    """Of ChannelScale: without ``do_forward`` the top is the bottom, without the others a gradient is left
    out.
    """

    do_forward: bool = True
    do_backward_feature: bool = True
    do_backward_scale: bool = True
    global_scale: bool = False
    max_global_scale: float = 1000.0
    min_global_scale: float = 0.0


@layer(
    "ChannelScale",
    source="happynear/caffe-windows: channel_scale_layer.cpp",
    bottoms=(2, 2),
    tops=(1, 2),
    blobs=("scale",),
    macs=free,
    fields=("channel_scale_param",),
)
class ChannelScale(Layer):
    """The first bottom times the second, which has one number for all channels of a pixel. What
    ``do_backward_feature`` leaves out is the scale in the first bottom's gradient, ``do_backward_scale`` the
    second's gradient.

    ``global_scale``: times the number of a blob instead, which every pass brings between min_global_scale and
    max_global_scale and a second top shows; the gradients are as if it were the second bottom's. This is the
    CPU code; on a GPU the number is a running mean of the second bottom. ``init_global_scale`` does nothing.
    """

    spec: ChannelScaleSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param, (x, scale) = message.channel_scale_param, bottoms
        numbers = {name: getattr(param, name) for name in ChannelScaleSpec.__dataclass_fields__}
        self.spec = ChannelScaleSpec(**numbers)
        if len(x) < 2 or not scale or scale[0] != x[0] or scale.numel() * x[1] != x.numel():
            raise InputError(f"the scale {tuple(scale)} has no number a pixel of {tuple(x)}", message.name)
        self.tops = len(message.top)
        if self.tops > 1 and not param.global_scale:
            raise InputError("has a second top with global_scale alone", message.name)
        if param.global_scale:
            self.scale = nn.Buffer(torch.empty(1))
            self.fillers = {"scale": FillerParameter(value=-1)}

    def forward(self, x: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        """(N, C, …) and as many numbers as (N, 1, …) to the first's shape, and (1,) with a second top."""
        spread, spec = scale.reshape(x.shape[0], 1, *x.shape[2:]), self.spec
        if spec == ChannelScaleSpec():
            return (x * spread,)
        factor = self._global_scale(x) if spec.global_scale else spread
        y = x * factor if spec.do_forward else x
        of_x = x * spread.detach() if spec.do_backward_feature else x
        of_scale = x.detach() * spread if spec.do_backward_scale else torch.zeros_like(x)
        both = without_gradient_to(scale, of_x + of_scale)
        return (y.detach() + (both - both.detach()), factor.detach().clone())[: self.tops]

    @torch.no_grad()
    def _global_scale(self, x: Tensor) -> Tensor:
        """The blob's number within its bounds, where it stays; 0 where nothing is scaled."""
        if not self.spec.do_forward:
            return x.new_zeros(1)
        number = self.scale.clamp(max=self.spec.max_global_scale).clamp(min=self.spec.min_global_scale)
        if has_a_next(x):
            self.scale.copy_(number)
        return number.to(x.dtype)


@dataclass(frozen=True)
class FlipSpec(Spec):
    """Of Flip."""

    flip_width: bool = True
    flip_height: bool = False


@layer(
    "Flip", source="happynear/caffe-windows: flip_layer.cpp", macs=free, routes=True, fields=("flip_param",)
)
class Flip(Layer):
    """(N, C, H, W) mirrored along its width, its height or both, as far as the bottom has these axes."""

    spec: FlipSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_axes(message, bottoms[0], 1)
        self.spec = FlipSpec(message.flip_param.flip_width, message.flip_param.flip_height)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), or without the last of these, to the same shape."""
        flips = (2, self.spec.flip_height), (3, self.spec.flip_width)
        return x.flip([axis for axis, is_flipped in flips if is_flipped and axis < x.dim()])
