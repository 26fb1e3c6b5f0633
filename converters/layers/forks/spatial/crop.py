"""Crop as FCN's fork had it before Caffe 1.0 did."""

from converters.layers.arranging.shape import Crop, crop_grid
from converters.layers.base import Layer
from converters.layers.choice import Dialect
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter


@layer(
    "Crop",
    source="longjon/caffe: crop_layer.cpp",
    bottoms=(2, 2),
    macs=free,
    routes=True,
    grid=crop_grid,
    aligns=True,
    dialect=Dialect("fcn", also=("longjon", "hed", "crfasrnn"), is_default=True),
)
def aligned_crop(message: LayerParameter, bottoms: Shapes) -> Layer:
    """Caffe's Crop of height and width, whose offsets follow from the layers between its bottoms: a graph
    writes them into crop_param (converters/crop_offsets.py).
    """
    return Crop(message, bottoms)
