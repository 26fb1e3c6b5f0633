"""What an ONNX file cannot say, as the records of the layers' types have it."""

from converters.graph import Graph
from converters.layers.registry import record_of
from converters.network import Network
from prototxt.errors import InputError

_UNTRACEABLE = (
    "has as many rows as its values leave, found in as many rounds, which torch.export cannot follow: end the"
    " file before it (--output-blob, output_blobs)"
)


def refuse_layers(net: Network) -> None:
    """Raise InputError, naming the layer, for one that cannot be in a file with the net's shapes."""
    for node in net.graph.nodes:
        if record_of(node.layer).untraceable:
            raise InputError(_UNTRACEABLE, node.layer.name, node.layer)
        why_not = None if node.is_data else record_of(node.layer).refuses_export
        bottoms = [net.shapes[value] for value in node.inputs]
        if why_not and (reason := why_not(net.module_of(node), bottoms)):
            raise InputError(reason, node.layer.name, node.layer)


def limits(graph: Graph) -> str:
    """What may be in the way of a file, or of a dynamic batch: `` (layer "lstm" takes …)``, or nothing."""
    said = [
        f'layer "{node.layer.name}" {limit}'
        for node in graph.nodes
        if (limit := record_of(node.layer).export_limit)
    ]
    return f" ({'; '.join(said)})" if said else ""
