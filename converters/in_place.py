"""Where Caffe's backward pass reads a blob that layers in place have written over since."""

from collections.abc import Iterator, Mapping

from converters.graph import Node, Value
from converters.layers import Layer
from converters.layers.registry import is_in_place
from prototxt.caffe_pb2 import LayerParameter

# What each layer_layer.cpp reads in Backward_cpu and keeps no copy of.
_READ_TOP = frozenset({"ELU", "Exp", "LRN", "MVN", "Sigmoid", "Softmax", "Swish", "TanH"})
_READ_BOTTOM = frozenset({"BNLL", "Clip", "Log", "ReLU"})  # which is the same blob where they work in place
_WHOLE = frozenset({"LRN", "MVN", "Softmax"})  # the gradient of one element reads the others too


def notices(modules: Mapping[Node, Layer]) -> list[str]:
    """A line for each layer that is not as whoever wrote the net may think."""
    own = [(node.layer.name, module.notice()) for node, module in modules.items()]
    return [*(f'layer "{name}": {note}' for name, note in own if note), *overwritten_gradients(modules)]


def overwritten_gradients(modules: Mapping[Node, Layer]) -> Iterator[str]:
    """A line for each layer that learns from other gradients in Caffe, which are not followed here."""
    makers = {value: node for node in modules for value in node.outputs}
    for writer, module in modules.items():
        if module.training and is_in_place(writer.layer):
            for maker in _chain(writer.inputs[0], makers):
                if _is_lost(maker, writer):
                    yield (
                        f'layer "{maker.layer.name}": Caffe takes its gradient from values that layer '
                        f'"{writer.layer.name}" has written over in place; here it is the derivative'
                    )


def _chain(value: Value, makers: Mapping[Value, Node]) -> Iterator[Node]:
    """The layers that wrote the blob before: the last, and while they work in place those before them."""
    maker = makers.get(value)
    while maker is not None:
        yield maker
        maker = makers.get(maker.inputs[0]) if is_in_place(maker.layer) else None


def _is_lost(maker: Node, writer: Node) -> bool:
    """Whether what ``writer`` leaves changes the gradient of ``maker``: a ReLU or, behind a ReLU, a Dropout
    changes values only where the gradient that arrives is 0, or not their sign.
    """
    kind, by = maker.layer.type, writer.layer.type
    if by == "ReLU" and not writer.layer.relu_param.negative_slope and kind not in _WHOLE:
        return False
    if kind == "ReLU" and by == "Dropout":
        return False
    if kind == "Power":
        return _is_power_lost(maker.layer)
    return kind in _READ_TOP or (kind in _READ_BOTTOM and is_in_place(maker.layer))


def _is_power_lost(layer: LayerParameter) -> bool:
    """A slope that is constant reads nothing, the square's its bottom alone (power_layer.cpp)."""
    param = layer.power_param
    if param.power == 1 or param.power * param.scale == 0:
        return False
    return param.power != 2 or is_in_place(layer)
