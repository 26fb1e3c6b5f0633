"""Names in an ONNX file: Caffe's blobs and state_dict's keys, none of them twice."""

from collections.abc import Iterable
from itertools import count

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
