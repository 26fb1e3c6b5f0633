"""What an ONNX file cannot say, as the records of the layers' types have it."""

from collections.abc import Iterable

from converters.graph import Node
from converters.layers.registry import record_of
from converters.network import Network
from prototxt.errors import InputError

UNTRACEABLE = (
    "has as many rows as its values leave, for which there is no rule in ONNX's operators here: end the"
    " file before it (--until, output_blobs)"
)


def refuse_layers(net: Network) -> None:
    """Raise InputError, naming the layer, for one that cannot be in a file with the net's shapes."""
    for node in net.graph.nodes:
        why_not = None if node.is_data else record_of(node.layer).refuses_export
        bottoms = [net.shapes[value] for value in node.inputs]
        if why_not and (reason := why_not(net.module_of(node), bottoms)):
            raise InputError(reason, node.layer.name, node.layer)


def limits(nodes: Iterable[Node]) -> str:
    """What may be in the way of a file, or of a dynamic batch: ``layer "lstm" takes …``, or nothing."""
    said = [
        f'layer "{node.layer.name}" {limit}'
        for node in nodes
        if (limit := record_of(node.layer).export_limit)
    ]
    return "; ".join(said)


def in_brackets(text: str) -> str:
    """`` (text)``; nothing for nothing."""
    return f" ({text})" if text else ""
