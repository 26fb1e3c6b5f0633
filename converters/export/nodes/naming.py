"""Names of nodes, and of the tensors between them, as a file has them: also in graphs inside nodes."""

from collections.abc import Iterable, Iterator

import onnx

from converters.export.names import unused_name


def _graphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Those inside a node, such as a Scan's."""
    return [item.g for item in node.attribute if item.HasField("g")]


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """With those inside them."""
    for node in nodes:
        yield node
        for graph in _graphs(node):
            yield from all_nodes(graph.node)


def rename(nodes: Iterable[onnx.NodeProto], final: dict[str, str], taken: set[str]) -> None:
    """Call tensors as ``final`` has them, and by their node where it does not, inside nodes too."""
    for node in nodes:
        for graph in _graphs(node):
            _name([item.name for item in graph.input], f"{node.name}.in", final, taken)
            rename(graph.node, final, taken)
            for item in [*graph.input, *graph.output]:
                item.name = final.get(item.name, item.name)
        _name(node.output, f"{node.name}.out", final, taken)
        node.input[:] = [final.get(name, name) for name in node.input]
        node.output[:] = [final.get(name, name) for name in node.output]


def _name(tensors: Iterable[str], name: str, final: dict[str, str], taken: set[str]) -> None:
    for tensor in tensors:
        if tensor and tensor not in final:
            final[tensor] = unused_name(name, taken)
            taken.add(final[tensor])


def label(nodes: Iterable[onnx.NodeProto]) -> None:
    """Call each layer's last node as the layer, with the operator behind it others, inside nodes too."""
    labels: set[str] = set()
    for node in reversed(list(all_nodes(nodes))):
        node.name = _label(node, labels)


def _label(node: onnx.NodeProto, labels: set[str]) -> str:
    """The layer's name for its last node, with the operator behind it for others."""
    name = node.name or "net"
    if name in labels:
        name = unused_name(f"{name}/{node.op_type}", labels)
    labels.add(name)
    return name
