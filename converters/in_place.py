"""Where Caffe's backward pass reads a blob that layers in place have written over since."""

from collections.abc import Iterator, Mapping

from converters.graph import Node, Value
from converters.layers import Layer
from converters.layers.checks import is_in_place
from prototxt.caffe_pb2 import LayerParameter


def in_place_notices(modules: Mapping[Node, Layer]) -> list[str]:
    """A line for each layer that is not as whoever wrote the net may think."""
    own = [(node.layer.name, module.notice()) for node, module in modules.items()]
    return [*(f'layer "{name}": {note}' for name, note in own if note), *overwritten_gradients(modules)]


def overwritten_gradients(modules: Mapping[Node, Layer]) -> Iterator[str]:
    """A line for each layer that learns from other gradients in Caffe, which are not followed here."""
    makers = {value: node for node in modules for value in node.outputs}
    for writer, module in modules.items():
        if module.training and is_in_place(writer.layer):
            for maker in _chain(writer.inputs[0], makers):
                if _is_lost(modules[maker], writer.layer):
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


def _is_lost(maker: Layer, writer: LayerParameter) -> bool:
    """Whether what ``writer`` leaves changes the gradient of ``maker``: a ReLU or, behind a ReLU, a Dropout
    changes values only where the gradient that arrives is 0, or not their sign.
    """
    reads, kind = maker.backward_reads(), maker.message.type
    if writer.type == "ReLU" and not writer.relu_param.negative_slope and not maker.record.mixes:
        return False
    if kind == "ReLU" and writer.type == "Dropout":
        return False
    return reads == "top" or (reads == "bottom" and is_in_place(maker.message))
