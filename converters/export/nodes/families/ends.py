"""Layers without bottoms."""

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Writer
from converters.layers.source import Parameter


@to_onnx.register
def _(layer: Parameter, g: Writer) -> Tops:
    return [g.weight(layer, "weight")]
