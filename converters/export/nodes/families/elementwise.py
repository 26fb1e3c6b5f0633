"""Layers that act on each element by itself."""

import math

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Tensor, Writer
from converters.layers.elementwise.activation import (
    BNLL,
    ELU,
    Clip,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    Swish,
    TanH,
)
from converters.layers.elementwise.arithmetic import AbsVal, Exp, Log, Power, Threshold
from converters.layers.elementwise.dropout import Dropout


@to_onnx.register
def _(layer: ReLU, g: Writer, x: Tensor) -> Tops:
    return [g.add("Relu", x.name)]


@to_onnx.register
def _(layer: LeakyReLU, g: Writer, x: Tensor) -> Tops:
    return [g.add("LeakyRelu", x.name, alpha=layer.spec.negative_slope)]


@to_onnx.register
def _(layer: PReLU, g: Writer, x: Tensor) -> Tops:
    shape = [layer.slope.numel(), *(1,) * (len(x.shape) - 2)]  # which spreads from the last axis on
    return [g.add("PRelu", x.name, g.weight(layer, "slope", shape))]


@to_onnx.register
def _(layer: ELU, g: Writer, x: Tensor) -> Tops:
    return [g.add("Elu", x.name, alpha=layer.spec.alpha)]


@to_onnx.register
def _(layer: Sigmoid, g: Writer, x: Tensor) -> Tops:
    return [g.add("Sigmoid", x.name)]


@to_onnx.register
def _(layer: TanH, g: Writer, x: Tensor) -> Tops:
    return [g.add("Tanh", x.name)]


@to_onnx.register
def _(layer: Swish, g: Writer, x: Tensor) -> Tops:
    return [g.add("Mul", x.name, g.add("Sigmoid", g.scaled(x.name, layer.spec.beta)))]


@to_onnx.register
def _(layer: BNLL, g: Writer, x: Tensor) -> Tops:
    return [g.add("Softplus", x.name)]


@to_onnx.register
def _(layer: Clip, g: Writer, x: Tensor) -> Tops:
    """Where the bounds are the wrong way round the lower one counts."""
    least, most = layer.spec.min, max(layer.spec.min, layer.spec.max)
    return [g.add("Clip", x.name, g.constant(least), g.constant(most))]


@to_onnx.register
def _(layer: AbsVal, g: Writer, x: Tensor) -> Tops:
    return [g.add("Abs", x.name)]


@to_onnx.register
def _(layer: Power, g: Writer, x: Tensor) -> Tops:
    """A power or scale of 0 makes a constant of NaN, too, which no product does."""
    power, scale, shift = layer.spec.power, layer.spec.scale, layer.spec.shift
    if power * scale == 0:
        return None
    base = g.shifted(g.scaled(x.name, scale), shift)
    if power == 1:
        return [base]
    if power == 2:
        return [g.add("Mul", base, base)]
    return [g.add("Pow", base, g.constant(power))]


@to_onnx.register
def _(layer: Exp, g: Writer, x: Tensor) -> Tops:
    if not math.isfinite(layer.outer):
        return None
    return [g.scaled(g.add("Exp", g.scaled(x.name, layer.inner)), layer.outer)]


@to_onnx.register
def _(layer: Log, g: Writer, x: Tensor) -> Tops:
    base = g.shifted(g.scaled(x.name, layer.spec.scale), layer.spec.shift)
    return [g.scaled(g.add("Log", base), layer.factor)]


@to_onnx.register
def _(layer: Threshold, g: Writer, x: Tensor) -> Tops:
    return [g.cast(g.add("Greater", x.name, g.constant(layer.spec.threshold)))]


@to_onnx.register
def _(layer: Dropout, g: Writer, x: Tensor) -> Tops:
    """Nothing in TEST, but the factor of forks that scale there."""
    if layer.drops:
        return None
    return [g.scaled(x.name, 1.0 if layer.spec.scale_train else 1 - layer.p)]
