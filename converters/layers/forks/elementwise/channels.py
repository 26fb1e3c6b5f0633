"""Layers that scale, mix or turn round channels: Axpy, ChannelScale, ShuffleChannel, ChannelShuffle, Flip."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from converters.layers.base import Layer
from converters.layers.checks import not_in_place, positive
from converters.layers.parts.gradient import with_slope, without_gradient_to
from converters.layers.parts.legacy_axes import check_axes, four, four_axes
from converters.layers.parts.passes import has_a_next
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec, numbers_of
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
class ShuffleChannelSpec(Spec):
    """Of ShuffleChannel."""

    group: int = 1


@layer(
    "ShuffleChannel",
    source="farmingyard/ShuffleNet: shuffle_channel_layer.cpp",
    macs=free,
    routes=True,
    fields=("shuffle_channel_param",),
)
class ShuffleChannel(Layer):
    """The channels of ``group`` groups by turns: the first of each, then the second of each, … The top has 4
    axes whatever the bottom has.
    """

    spec: ShuffleChannelSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        _not_the_other(message, "channel_shuffle_param", "longpeng2008's ChannelShuffle")
        group = message.shuffle_channel_param.group
        positive(message, group=group)
        check_axes(message, bottoms[0], 2)
        if bottoms[0][1] % group:
            raise InputError(f"group {group} must divide the channels of {tuple(bottoms[0])}", message.name)
        self.spec = ShuffleChannelSpec(group)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), later axes 1 where there are none, to the same."""
        x = four_axes(x)
        groups = x.reshape(x.shape[0], self.spec.group, -1, *x.shape[2:])
        return groups.transpose(1, 2).reshape(x.shape)


def _not_the_other(message: LayerParameter, field: str, whose: str) -> None:
    """Raise InputError for the field of the shuffle that another fork calls nearly the same: nothing would
    read it, and the layer would be what nobody meant.
    """
    if message.HasField(field):
        raise InputError(f"{field} is of {whose}, which is another rule than {message.type}'s", message.name)


@dataclass(frozen=True)
class ChannelShuffleSpec(Spec):
    """Of ChannelShuffle."""

    shuffle_pattern: int = 1
    shuffle_channel_num: int = 1
    group: int = 1

    def sources(self, channels: int) -> list[int]:
        """For each of a top's channels, in pattern 1, which of the last group's it is; where it is none of
        them, the number that group has.
        """
        size, block = channels // self.group, self.shuffle_channel_num
        sources = [size] * channels
        for channel in range(size):
            number, inside = divmod(channel, block)
            place, group = divmod(number, self.group)
            sources[group * size + place * block + inside] = channel
        return sources


@layer(
    "ChannelShuffle",
    source="longpeng2008/Caffe_Long: channel_shuffle_layer.cpp",
    macs=free,
    fields=("channel_shuffle_param",),
)
class ChannelShuffle(Layer):
    """Pattern 0: the memory of an item (C, H, W) turned to (H, W, C), read as (C, H, W) still. Pattern 1: of
    ``group`` groups each block of ``shuffle_channel_num`` channels goes to the group of its number modulo
    ``group``, one group's over another's, so that the last group's stay and channels that none goes to are 0.
    With one group it copies. It is not ShuffleNet's shuffle, which is ShuffleChannel.

    The gradient of pattern 1 is the fork's: every group's block takes that of the channels it went to, though
    the last group's alone stayed there.
    """

    spec: ChannelShuffleSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        _not_the_other(message, "shuffle_channel_param", "ShuffleNet's ShuffleChannel")
        check_axes(message, bottoms[0], 1)
        self.spec = ChannelShuffleSpec(**numbers_of(message.channel_shuffle_param, ChannelShuffleSpec))
        spec, channels = self.spec, four(bottoms[0])[1]
        if spec.shuffle_pattern > 1:
            raise InputError(f"shuffle_pattern is 0 or 1, not {spec.shuffle_pattern}", message.name)
        if spec.shuffle_pattern and spec.group != 1:
            _check_blocks(message, spec, channels)
        if not spec.shuffle_pattern or spec.group != 1:
            not_in_place(message)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), or without the last of these, to the same shape."""
        spec = self.spec
        if not spec.shuffle_pattern:
            return four_axes(x).flatten(2).transpose(1, 2).reshape(x.shape)
        return x.view_as(x) if spec.group == 1 else self._moved(x)

    def _moved(self, x: Tensor) -> Tensor:
        """The last group's blocks where they go, with a gradient for those of every group."""
        groups = x.reshape(x.shape[0], self.spec.group, -1, *x.shape[2:])
        last = groups[:, -1]
        every = with_slope(groups.sum(1), last, torch.ones_like(last))
        places = torch.tensor(self.spec.sources(x.shape[1]), device=x.device)
        return torch.cat([every, torch.zeros_like(every[:, :1])], 1).index_select(1, places)


def _check_blocks(message: LayerParameter, spec: ChannelShuffleSpec, channels: int) -> None:
    """Raise InputError unless groups have whole blocks, and a number of channels that ``group`` divides."""
    positive(message, group=spec.group, shuffle_channel_num=spec.shuffle_channel_num)
    size = channels // spec.group
    if channels % spec.group or size % spec.group or size % spec.shuffle_channel_num:
        reason = f"the {channels} channels by group {spec.group} must be a multiple of that and of"
        raise InputError(f"{reason} shuffle_channel_num {spec.shuffle_channel_num}", message.name)


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
