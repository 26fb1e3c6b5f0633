"""Every layer type; importing the package fills the registry."""

from converters.layers import activation, combine, dense, judge, normalise, pooling
from converters.layers.registry import Layer, Shapes, build_layer, layer_types

__all__ = [
    "Layer", "Shapes", "activation", "build_layer", "combine", "dense", "judge", "layer_types", "normalise",
    "pooling",
]  # fmt: skip
