"""Layers of forks that act on elements and channels."""

import math

from converters.export.source.helpers.forks import APL as APLHelper  # noqa: N811
from converters.export.source.helpers.forks import DividingRReLU, last_group_over
from converters.export.source.helpers.scale import Scale
from converters.export.source.part import Call, Part, make, short, times
from converters.export.source.rules import refusal, to_source
from converters.layers.forks.elementwise.activations import (
    Arccos,
    Cosine,
    ReLU6,
    RReLU,
    SeLU,
    SignedSqrt,
    Truncation,
)
from converters.layers.forks.elementwise.channels import (
    Axpy,
    ChannelScale,
    ChannelScaleSpec,
    Flip,
)
from converters.layers.forks.elementwise.learned import APL, EltwiseAffine
from converters.layers.forks.elementwise.shuffle import ChannelShuffle, ShuffleChannel


@to_source.register
def _(layer: ReLU6, c: Call) -> Part:
    slope = layer.spec.negative_slope
    if not slope:
        return c.module("nn.ReLU6()")
    return Part([f"nn.functional.leaky_relu({c.x}, {short(slope)}).clamp(max=6)"])


@to_source.register
def _(layer: SeLU, c: Call) -> Part:
    return Part([times(f"nn.functional.elu({c.x}, {short(layer.spec.alpha)})", layer.spec.scale)])


@to_source.register
def _(layer: RReLU, c: Call) -> Part:
    least, most = layer.spec.lb, layer.spec.ub
    slope = (math.log(abs(most)) - math.log(abs(least))) / (most - least)
    return c.module(make("DividingRReLU", least, most, slope=slope), None, DividingRReLU)


@to_source.register
def _(layer: SignedSqrt, c: Call) -> Part:
    return Part([f"{c.x}.sign() * {c.x}.abs().sqrt()"])


@to_source.register
def _(layer: Arccos, c: Call) -> Part:
    return Part([f"{c.x}.acos()"])


@to_source.register
def _(layer: Cosine, c: Call) -> Part:
    return Part([f"{c.x}.cos()"])


@to_source.register
def _(layer: Truncation, c: Call) -> Part:
    return Part([f"{c.x}.clamp({short(layer.spec.lower_bound)}, {short(layer.spec.upper_bound)})"])


@to_source.register
def _(layer: Axpy, c: Call) -> Part:
    scale, x, y = c.bottoms
    behind = len(c.shapes[1]) - len(c.shapes[0])
    if behind < 0:
        raise refusal(layer, "has no rule for a scale of more axes than its bottoms")
    spread = f"[..., {', '.join(['None'] * behind)}]" if behind else ""
    return Part([f"{scale}{spread} * {x} + {y}"])


@to_source.register
def _(layer: ChannelScale, c: Call) -> Part:
    if layer.spec != ChannelScaleSpec():
        raise refusal(layer, "has no rule but for a plain scale")
    scale = c.bottoms[1]
    if c.shapes[1] == (c.shapes[0][0], 1, *c.shapes[0][2:]):
        return Part([f"{c.x} * {scale}"])
    return Part([f"{c.x} * {scale}.reshape({c.x}.shape[0], 1, *{c.x}.shape[2:])"])


@to_source.register
def _(layer: ShuffleChannel, c: Call) -> Part:
    if c.axes != 4:
        raise refusal(layer, "has no rule but for 4 axes")
    return c.module(f"nn.ChannelShuffle({layer.spec.group})")


@to_source.register
def _(layer: ChannelShuffle, c: Call) -> Part:
    spec = layer.spec
    if not spec.shuffle_pattern:
        return Part([f"{c.x}.flatten(2).transpose(1, 2).reshape({c.x}.shape)"] if c.axes > 2 else [c.x])
    if spec.group == 1:
        return Part([c.x])
    size = c.shapes[0][1] // spec.group
    places = make("", spec.sources(c.shapes[0][1]))[1:-1]
    return Part([f"last_group_over({c.x}, {size}, {places})"], helpers=[last_group_over])


@to_source.register
def _(layer: Flip, c: Call) -> Part:
    flips = (2, layer.spec.flip_height), (3, layer.spec.flip_width)
    axes = [axis for axis, is_flipped in flips if is_flipped and axis < c.axes]
    return Part([f"{c.x}.flip({axes})"])


@to_source.register
def _(layer: EltwiseAffine, c: Call) -> Part:
    shape = () if layer.spec.channel_shared else (c.shapes[0][1], *(1,) * (c.axes - 2))
    state = {"weight": layer.slope.reshape(shape), "bias": layer.bias.reshape(shape)}
    return c.module(make("Scale", *shape), state, Scale)


@to_source.register
def _(layer: APL, c: Call) -> Part:
    sums = layer.spec.sums
    state = {"slope": layer.slope.reshape(-1, sums), "offset": layer.offset.reshape(-1, sums)}
    return c.module(make("APL", sums, layer.slope.numel() // sums), state, APLHelper)
