"""Layers with a weight matrix."""

from onnx import TensorProto

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Tensor, Writer
from converters.layers.connected.dense import Embed, InnerProduct, TransposedInnerProduct


@to_onnx.register
def _(layer: InnerProduct, g: Writer, x: Tensor) -> Tops:
    return _product(layer, g, x, is_turned=True)


@to_onnx.register
def _(layer: TransposedInnerProduct, g: Writer, x: Tensor) -> Tops:
    return _product(layer, g, x, is_turned=False)


def _product(layer: InnerProduct | TransposedInnerProduct, g: Writer, x: Tensor, is_turned: bool) -> Tops:
    """Rows times the matrix, ``is_turned`` where a row of it is an output; axes before ``axis`` are rows."""
    axis = layer.spec.axis
    if axis == 1:
        weights = [g.weight(layer, slot) for slot in layer.slots]
        return [g.add("Gemm", g.flatten(x, 1), *weights, transB=int(is_turned))]
    rows = g.add("MatMul", g.flatten(x, axis), g.weight(layer, "weight", is_turned=is_turned))
    return [rows if layer.bias is None else g.add("Add", rows, g.weight(layer, "bias"))]


@to_onnx.register
def _(layer: Embed, g: Writer, x: Tensor) -> Tops:
    rows = g.add("Gather", g.weight(layer, "weight"), g.cast(x.name, TensorProto.INT64), axis=0)
    return [rows if layer.bias is None else g.add("Add", rows, g.weight(layer, "bias"))]
