"""Names in an ONNX file: Caffe's blobs and state_dict's keys, none of them twice."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import onnx_ir as ir

from converters.graph import Graph, Value


def value_names(graph: Graph) -> dict[Value, str]:
    """The name of every value of a deployed graph: inputs and outputs keep their blob's; so does the last
    value of any other blob, and earlier ones, which a layer then changed in place, add their layer's. An
    output that is an input's blob, too, has its layer's beside it; a name that is empty is "unnamed".
    """
    last = {value.blob: value for node in graph.nodes for value in node.outputs}
    others = [value for node in graph.nodes for value in node.outputs]
    names: dict[Value, str] = {}
    taken: set[str] = set()
    for value in [*graph.inputs, *graph.outputs, *last.values(), *others]:
        if value not in names:
            plain = value.blob or "unnamed"
            names[value] = plain if plain not in taken else unused_name(f"{plain}_{value.layer}", taken)
            taken.add(names[value])
    return names


def unused_name(name: str, taken: Iterable[str]) -> str:
    """``name``, with a number where it is ``taken``."""
    used = set(taken)
    return next(candidate for n in count() if (candidate := f"{name}_{n}" if n else name) not in used)


def rename(model: ir.Model, blobs: Mapping[ir.Value, str], keys: Mapping[ir.Value, str]) -> None:
    """Give values their names: ``blobs`` as they are, ``keys`` (of weights) and the exporter's own names
    as they are where no blob is called so.
    """
    values = list(_values(model.graph))
    wanted = [(value, blobs.get(value, keys.get(value, value.name or "value"))) for value in values]
    for index, value in enumerate(values):
        value.name = f"\x00{index}"
    taken: set[str] = set()
    for is_blob, is_key in ((True, False), (False, True), (False, False)):
        for value, name in wanted:
            if (value in blobs, value in keys and value not in blobs) == (is_blob, is_key):
                value.name = name if name not in taken else unused_name(name, taken)
                taken.add(value.name)


def _values(graph: ir.Graph) -> Sequence[ir.Value]:
    """Every value of a graph and of the graphs inside it, once."""
    nodes = list(graph.all_nodes())
    graphs = [graph, *{id(node.graph): node.graph for node in nodes if node.graph}.values()]
    sources = [value for inner in graphs for value in [*inner.inputs, *inner.initializers.values()]]
    return list(dict.fromkeys([*sources, *(value for node in nodes for value in node.outputs)]))
