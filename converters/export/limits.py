"""What an ONNX file cannot say, as the records of the layers' types have it."""

from converters.graph import Graph
from converters.layers.registry import record_of
from converters.network import Network
from prototxt.errors import InputError


def refuse_draws(net: Network) -> None:
    """Raise InputError, naming the layer, where one draws at random in its phase."""
    for node in net.graph.nodes:
        draws = None if node.is_data else record_of(node.layer).draws
        if draws and draws(net.module_of(node)):
            reason = "draws at random, which an ONNX file cannot do as Caffe does: not written"
            raise InputError(reason, node.layer.name, node.layer)


def limits(graph: Graph) -> str:
    """What may be in the way of a file, or of a dynamic batch: `` (layer "lstm" takes …)``, or nothing."""
    said = [
        f'layer "{node.layer.name}" {limit}'
        for node in graph.nodes
        if (limit := record_of(node.layer).export_limit)
    ]
    return f" ({'; '.join(said)})" if said else ""
