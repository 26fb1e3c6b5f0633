"""Layers that bring values to a common scale, and factors and shifts a channel."""

import math

import numpy as np

from converters.export.nodes.families.spatial import average
from converters.export.nodes.folding import fold, numbers
from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Copy, Tensor, Writer
from converters.layers.elementwise.scale import Bias, Scale
from converters.layers.judging.softmax import Softmax
from converters.layers.normalising.batch_norm import BatchNorm
from converters.layers.normalising.normalise import LRN, MVN


@to_onnx.register
def _(layer: BatchNorm, g: Writer, x: Tensor) -> Tops:
    """By its sums; by the batch's statistics torch's exporter has it."""
    if layer.uses_batch() or len(x.shape) < 2 or not layer.is_settled:
        return None
    mean, variance = numbers(layer.mean), numbers(layer.variance)
    factor = 1 / np.sqrt(variance + layer.spec.eps)
    if np.isfinite(factor).all() and fold(g, x, factor, -mean * factor):
        return [x.name]
    ends = [g.hold(np.full(len(mean), value, np.float32), f"{g.layer}.{name}") for name, value in _ENDS]
    statistics = [g.weight(layer, "mean"), g.weight(layer, "variance")]
    return [g.add("BatchNormalization", x.name, *ends, *statistics, epsilon=layer.spec.eps)]


_ENDS = (("scale", 1.0), ("shift", 0.0))  # which ONNX's own has, and a Scale behind it gives


@to_onnx.register
def _(layer: Scale, g: Writer, x: Tensor, *scales: Tensor) -> Tops:
    if layer.weight is not None and _is_a_channel(layer):
        factor = numbers(layer.weight)
        shift = np.zeros(len(factor)) if layer.bias is None else numbers(layer.bias)
        if fold(g, x, factor, shift):
            return [x.name]
    y = g.add("Mul", x.name, _spread(layer, "weight", g, x, scales))
    return [y if layer.bias is None else g.add("Add", y, _spread(layer, "bias", g, x, ()))]


@to_onnx.register
def _(layer: Bias, g: Writer, x: Tensor, *biases: Tensor) -> Tops:
    if layer.bias is not None and _is_a_channel(layer):
        shift = numbers(layer.bias)
        if fold(g, x, np.ones(len(shift)), shift):
            return [x.name]
    return [g.add("Add", x.name, _spread(layer, "bias", g, x, biases))]


def _is_a_channel(layer: Scale | Bias) -> bool:
    return layer.spec.axis == 1 and layer.spec.num_axes == 1


def _spread(layer: Scale | Bias, slot: str, g: Writer, x: Tensor, bottoms: tuple[Tensor, ...]) -> str:
    """The blob, or the second bottom, with as many axes of 1 behind it as make it spread over ``x``."""
    behind = len(x.shape) - layer.spec.axis - layer.spec.num_axes
    if not bottoms:
        return g.weight(layer, slot, [*getattr(layer, slot).shape, *(1,) * behind])
    if not behind:
        return bottoms[0].name
    return g.reshape(bottoms[0], [*(Copy(at) for at in range(len(bottoms[0].shape))), *(1,) * behind])


@to_onnx.register
def _(layer: LRN, g: Writer, x: Tensor) -> Tops:
    spec = layer.spec
    if not layer.within:
        return [_divided(g, x, _base_across(layer, g, x), spec.beta)]
    squares = Tensor(g.add("Mul", x.name, x.name), x.shape)
    mean = average(g, squares, layer.windows)
    if mean is None:
        return None
    base = g.shifted(g.scaled(mean, spec.alpha), 1.0)
    return [_divided(g, x, base, spec.beta)]


def _base_across(layer: LRN, g: Writer, x: Tensor) -> str:
    """k + alpha / n · the sum of squares of n channels, by a convolution along them: ONNX's own LRN runs in
    one thread in onnxruntime, a power a value, and an average over channels counts its padding in some
    readers. alpha comes before the square, which half precision could not hold.
    """
    spec, half = layer.spec, layer.spec.local_size // 2
    scaled = g.scaled(x.name, math.sqrt(abs(spec.alpha)))
    squares = Tensor(g.add("Mul", scaled, scaled), x.shape)
    columns = g.reshape(squares, [Copy(0), 1, Copy(1), Copy(2), Copy(3)])
    ones = np.full((1, 1, spec.local_size, 1, 1), math.copysign(1, spec.alpha) / spec.local_size, np.float32)
    weight, bias = g.hold(ones, f"{g.layer}.window"), g.hold(np.full(1, spec.k, np.float32), f"{g.layer}.k")
    base = g.add("Conv", columns, weight, bias, pads=[half, 0, 0, half, 0, 0])
    return g.reshape(Tensor(base, (x.shape[0], 1, *x.shape[1:])), [Copy(0), Copy(2), Copy(3), Copy(4)])


def _divided(g: Writer, x: Tensor, base: str, beta: float) -> str:
    """x / base^beta; of the usual 0.75 by roots, a tenth of a power's time."""
    if beta != 0.75:
        return g.add("Mul", x.name, g.add("Pow", base, g.constant(-beta)))
    root = g.add("Sqrt", base)
    return g.add("Div", x.name, g.add("Mul", root, g.add("Sqrt", root)))


@to_onnx.register
def _(layer: MVN, g: Writer, x: Tensor) -> Tops:
    if len(x.shape) != 4:
        return None
    axes = [1, 2, 3] if layer.spec.across_channels else [2, 3]
    away = g.add("Sub", x.name, g.reduced("ReduceMean", x.name, axes, keepdims=True))
    if not layer.spec.normalize_variance:
        return [away]
    variance = g.reduced("ReduceMean", g.add("Mul", away, away), axes, keepdims=True)
    return [g.add("Div", away, g.shifted(g.add("Sqrt", variance), layer.spec.eps))]


@to_onnx.register
def _(layer: Softmax, g: Writer, x: Tensor) -> Tops:
    return [g.add("Softmax", x.name, axis=layer.spec.axis)]
