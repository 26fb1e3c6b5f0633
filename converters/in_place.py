"""Where Caffe's backward pass reads a blob that layers in place have written over since."""

from collections.abc import Mapping

from converters.graph import Node, Value
from converters.layers import Layer
from converters.layers.checks import is_in_place
from prototxt.caffe_pb2 import LayerParameter


def in_place_notices(modules: Mapping[Node, Layer]) -> list[str]:
    """A line for each layer that is not as whoever wrote the net may think."""
    own = [(node.layer.name, module.notice()) for node, module in modules.items()]
    return [*(f'layer "{name}": {note}' for name, note in own if note), *overwritten_gradients(modules)]


def overwritten_gradients(modules: Mapping[Node, Layer]) -> list[str]:
    """A line for each layer that learns from other gradients in Caffe, which are not followed here: it names
    the first layer that has written over what the gradient is read off. From the last layer to the first,
    so that a blob's thousand layers in place take a thousand steps.
    """
    lines: list[str] = []
    after: dict[Value, dict[str, Node]] = {}  # who writes over a value in place: of each kind the first
    order = {node: place for place, node in enumerate(modules)}
    for node, module in reversed([*modules.items()]):
        writers = {kind: each for value in node.outputs for kind, each in after.get(value, {}).items()}
        losing = [each for each in writers.values() if _is_lost(module, each.layer)]
        if losing:
            lines.append(_lost(node, min(losing, key=order.__getitem__)))
        if is_in_place(node.layer):
            own = {_kind(node.layer): node} if module.training else {}
            after[node.inputs[0]] = writers | own
    return lines[::-1]


def _lost(maker: Node, writer: Node) -> str:
    return (
        f'layer "{maker.layer.name}": Caffe takes its gradient from values that layer '
        f'"{writer.layer.name}" has written over in place; here it is the derivative'
    )


def _kind(writer: LayerParameter) -> str:
    """What :func:`_is_lost` asks of a layer that writes over a blob."""
    if writer.type == "ReLU" and not writer.relu_param.negative_slope:
        return "ReLU"
    return "Dropout" if writer.type == "Dropout" else "another"


def _is_lost(maker: Layer, writer: LayerParameter) -> bool:
    """Whether what ``writer`` leaves changes the gradient of ``maker``: a ReLU or, behind a ReLU, a Dropout
    changes values only where the gradient that arrives is 0, or not their sign.
    """
    reads, kind = maker.backward_reads(), maker.message.type
    if _kind(writer) == "ReLU" and not maker.record.mixes:
        return False
    if kind == "ReLU" and _kind(writer) == "Dropout":
        return False
    return reads == "top" or (reads == "bottom" and is_in_place(maker.message))
