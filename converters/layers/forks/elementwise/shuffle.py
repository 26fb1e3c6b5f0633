"""Layers of two forks that shuffle channels, each in its own way: ShuffleChannel and ChannelShuffle."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import not_in_place, positive
from converters.layers.parts.gradient import with_slope
from converters.layers.parts.legacy_axes import check_axes, four, four_axes
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec, numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


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
        if spec.shuffle_pattern:
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
