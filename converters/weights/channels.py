"""How many channels a net's images have, as a weight file's first layer says."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from converters.graph import Graph, Node, Value
from converters.layers.choice import Stored
from converters.layers.registry import record_of


class Channels(NamedTuple):
    """The channels of a bottom, and the name of the layer whose weights say so."""

    channels: int
    layer: str


def channels_of(
    graph: Graph, image: Value, size: tuple[int, int], stored: Mapping[str, Sequence[Stored]]
) -> Channels | None:
    """The channels of the input ``image``, of height and width ``size``, by the weights ``stored`` of the
    first layer that learns and reads it, behind layers that take each channel by itself. None where no
    such layer is in the file.
    """
    same = {image}
    for node in graph.nodes:
        if not same.intersection(node.inputs):
            continue
        if record_of(node.layer).pointwise:
            same.update(node.outputs)
        elif channels := _read_channels(node, size, stored.get(node.layer.name, ())):
            return Channels(channels, node.layer.name)
    return None


def _read_channels(node: Node, size: tuple[int, int], blobs: Sequence[Stored]) -> int:
    """What a layer's weights, (outputs, channels / group, …) or (outputs, channels · height · width), say of
    its bottom; 0 where they say nothing.
    """
    record = record_of(node.layer)
    weights = [blob.shape for blob in blobs if blob.name in (None, record.blobs[0])] if record.learns else []
    if not weights:
        return 0
    shape = weights[0]
    if node.layer.HasField("convolution_param"):
        param = node.layer.convolution_param
        return shape[1] * param.group if len(shape) > 2 and shape[0] == param.num_output else 0
    channels, rest = divmod(shape[-1], size[0] * size[1])
    return 0 if rest else channels
