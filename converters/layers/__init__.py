"""Every layer type; importing the package fills the registry."""

from converters.layers import (
    activation,
    arithmetic,
    combine,
    convolution,
    dense,
    judge,
    normalise,
    pick,
    pooling,
    pyramid,
    python_layer,
    recurrent,
    reduce,
    scale,
    shape,
    softmax,
    source,
)
from converters.layers.registry import LARGEST, Layer, Shapes, build_layer, layer_types

__all__ = [
    "LARGEST", "Layer", "Shapes", "activation", "arithmetic", "build_layer", "combine", "convolution",
    "dense", "judge", "layer_types", "normalise", "pick", "pooling", "pyramid", "python_layer",
    "recurrent", "reduce",
    "scale", "shape", "softmax", "source",
]  # fmt: skip
