"""A layer's colour: by what it does, which its room among the layer types says, as people know it from
draw_net.py (convolutions red, pooling orange, inner products purple, activations green).
"""

from typing import NamedTuple

from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter


class Family(NamedTuple):
    """Layers of one colour; ``key`` is their class in the drawing."""

    key: str
    title: str
    colour: str


FAMILIES = {
    family.key: family
    for family in (
        Family("data", "data", "#5f7d95"),
        Family("convolution", "convolution", "#e0443e"),
        Family("pooling", "pooling, sampling", "#e08a1e"),
        Family("connected", "inner product, recurrent", "#a044d8"),
        Family("elementwise", "activation, element by element", "#2c9c4b"),
        Family("normalising", "normalisation", "#1497a5"),
        Family("arranging", "joins, slices, shapes", "#4a78d0"),
        Family("detection", "boxes and detections", "#a8741a"),
        Family("judging", "softmax, losses, metrics", "#c8469a"),
        Family("other", "others", "#77818c"),
    )
}
_DETECTION = ("ssd", "rcnn", "yolo", "mscnn")


def family_of(layer: LayerParameter) -> Family:
    """The layer's family, by its record."""
    record = record_of(layer)
    if record.role == "data":
        return FAMILIES["data"]
    if record.judges:
        return FAMILIES["judging"]
    rooms = record.family.split("/")[:-1]
    if "spatial" in rooms:
        return FAMILIES["convolution" if record.learns else "pooling"]
    if rooms and rooms[-1] in _DETECTION:
        return FAMILIES["detection"]
    return FAMILIES.get(rooms[-1] if rooms else "", FAMILIES["other"])
