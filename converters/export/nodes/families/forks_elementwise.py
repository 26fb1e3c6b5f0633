"""Layers of forks that act on each element, or on each channel, by itself."""

import math

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Copy, Tensor, Writer
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
from converters.layers.forks.elementwise.shuffle import ChannelShuffle, ShuffleChannel

_END = -(2**31)  # beyond the first value of any axis, counted backwards


@to_onnx.register
def _(layer: ReLU6, g: Writer, x: Tensor) -> Tops:
    if layer.spec.negative_slope:
        return None
    return [g.add("Clip", x.name, g.constant(0.0), g.constant(6.0))]


@to_onnx.register
def _(layer: Truncation, g: Writer, x: Tensor) -> Tops:
    """Where the bounds are the wrong way round the upper one counts."""
    most = layer.spec.upper_bound
    return [g.add("Clip", x.name, g.constant(min(layer.spec.lower_bound, most)), g.constant(most))]


@to_onnx.register
def _(layer: SeLU, g: Writer, x: Tensor) -> Tops:
    return [g.scaled(g.add("Elu", x.name, alpha=layer.spec.alpha), layer.spec.scale)]


@to_onnx.register
def _(layer: RReLU, g: Writer, x: Tensor) -> Tops:
    least, most = layer.spec.lb, layer.spec.ub
    if layer.training:
        return None
    slope = (math.log(abs(most)) - math.log(abs(least))) / (most - least)
    return [g.add("LeakyRelu", x.name, alpha=slope)]


@to_onnx.register
def _(layer: SignedSqrt, g: Writer, x: Tensor) -> Tops:
    return [g.add("Mul", g.add("Sign", x.name), g.add("Sqrt", g.add("Abs", x.name)))]


@to_onnx.register
def _(layer: Arccos, g: Writer, x: Tensor) -> Tops:
    return [g.add("Acos", x.name)]


@to_onnx.register
def _(layer: Cosine, g: Writer, x: Tensor) -> Tops:
    return [g.add("Cos", x.name)]


@to_onnx.register
def _(layer: Axpy, g: Writer, scale: Tensor, x: Tensor, y: Tensor) -> Tops:
    factor, ones = scale.name, len(x.shape) - 2
    if len(scale.shape) != len(x.shape):
        factor = g.reshape(scale, [Copy(0), Copy(1), *(1,) * ones])
    return [g.add("Add", g.add("Mul", x.name, factor), y.name)]


@to_onnx.register
def _(layer: ChannelScale, g: Writer, x: Tensor, scale: Tensor) -> Tops:
    if layer.spec != ChannelScaleSpec() or len(scale.shape) != len(x.shape):
        return None
    return [g.add("Mul", x.name, scale.name)]


@to_onnx.register
def _(layer: ShuffleChannel, g: Writer, x: Tensor) -> Tops:
    channels = x.shape[1]
    if len(x.shape) != 4 or channels is None:
        return None
    parts = channels // layer.spec.group
    groups = g.reshape(x, [Copy(0), layer.spec.group, parts, Copy(2), Copy(3)])
    turned = Tensor(
        g.add("Transpose", groups, perm=[0, 2, 1, 3, 4]),
        (x.shape[0], parts, layer.spec.group, x.shape[2], x.shape[3]),
    )
    return [g.reshape(turned, [Copy(0), channels, Copy(3), Copy(4)])]


@to_onnx.register
def _(layer: ChannelShuffle, g: Writer, x: Tensor) -> Tops:
    """Where the last group's channels go; a channel of 0 behind them is for those that none goes to."""
    spec, channels = layer.spec, x.shape[1] if len(x.shape) > 1 else None
    if channels is None:
        return None
    if spec.shuffle_pattern and spec.group == 1:
        return [x.name]
    if not spec.shuffle_pattern:
        turned = g.add("Transpose", g.reshape(x, [Copy(0), channels, -1]), perm=[0, 2, 1])
        return [g.add("Reshape", turned, _sides(g, x))]
    size, sides = channels // spec.group, len(x.shape)
    last = g.add("Slice", x.name, g.ints([channels - size]), g.ints([channels]), g.ints([1]))
    pads = [at == sides + 1 for at in range(2 * sides)]
    padded = g.add("Pad", last, g.ints(pads), g.constant(0.0))
    return [g.add("Gather", padded, g.ints(spec.sources(channels)), axis=1)]


def _sides(g: Writer, x: Tensor) -> str:
    """The shape of ``x``, of which the first axis alone, or any, may be of any size."""
    if None in x.shape[1:]:
        return g.once("Shape", x.name)
    return g.ints([side or 0 for side in x.shape])


@to_onnx.register
def _(layer: Flip, g: Writer, x: Tensor) -> Tops:
    flips = (2, layer.spec.flip_height), (3, layer.spec.flip_width)
    axes = [axis for axis, is_flipped in flips if is_flipped and axis < len(x.shape)]
    if not axes:
        return [x.name]
    numbers = [[-1] * len(axes), [_END] * len(axes), axes, [-1] * len(axes)]
    return [g.add("Slice", x.name, *(g.ints(list(each)) for each in numbers))]
