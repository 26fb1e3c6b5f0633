"""Layers of forks that bring values to a common scale."""

import numpy as np

from converters.export.nodes.folding import affine, numbers
from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Tensor, Writer
from converters.layers.forks.elementwise.learned import EltwiseAffine
from converters.layers.forks.normalising.batch_norm import NvidiaBatchNorm
from converters.layers.forks.normalising.bn import RunningBN, SegNetBN
from converters.layers.forks.normalising.unit_length import NEAR, L2Normalize, Norm


@to_onnx.register
def _(layer: RunningBN, g: Writer, x: Tensor) -> Tops:
    if layer.uses_batch():
        return None
    scale, shift = (numbers(getattr(layer, name)) for name in layer.names)
    mean, second = (getattr(layer, name).double() for name in layer.statistics)
    factor = scale * numbers(layer.of_second(second))
    return [affine(g, x, factor, shift - numbers(mean) * factor)]


@to_onnx.register
def _(layer: SegNetBN, g: Writer, x: Tensor) -> Tops:
    if layer.spec.bn_mode != "INFERENCE" or layer.tops > 1 or len(x.shape) != 4:
        return None
    return [affine(g, x, numbers(layer.scale), numbers(layer.shift))]


@to_onnx.register
def _(layer: NvidiaBatchNorm, g: Writer, x: Tensor) -> Tops:
    if layer.training:
        return None
    factor = 1 / np.sqrt(numbers(layer.variance) + layer.spec.eps)
    factor = factor if layer.scale is None else factor * numbers(layer.scale)
    shift = -numbers(layer.mean) * factor
    return [affine(g, x, factor, shift if layer.bias is None else shift + numbers(layer.bias))]


@to_onnx.register
def _(layer: EltwiseAffine, g: Writer, x: Tensor) -> Tops:
    channels = x.shape[1]
    if channels is None:
        return None
    slope, bias = (np.broadcast_to(numbers(blob), channels) for blob in (layer.slope, layer.bias))
    return [affine(g, x, slope, bias)]


@to_onnx.register
def _(layer: L2Normalize, g: Writer, x: Tensor) -> Tops:
    if len(x.shape) < 2:
        return None
    squares = g.reduced("ReduceSumSquare", x.name, range(1, len(x.shape)), keepdims=True)
    return [g.add("Div", x.name, g.add("Sqrt", g.shifted(squares, 1e-7)))]


@to_onnx.register
def _(layer: Norm, g: Writer, x: Tensor) -> Tops:
    if len(x.shape) != 4:
        return None
    return [g.add("Div", x.name, g.shifted(g.reduced("ReduceL2", x.name, [1], keepdims=True), NEAR))]
