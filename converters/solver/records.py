"""Which record of the data a value that is out of range came with."""

from collections.abc import Callable

from converters.graph import Graph, Node, Value
from converters.layers.parts.indexing import OutOfRangeError
from prototxt.errors import InputError

Record = Callable[[str, int, int], str | None]  # data top, sample, samples of its batch


def with_record(error: OutOfRangeError, graph: Graph, record: Record) -> InputError:
    """The error for a run, about its layer, with what ``record`` calls the sample where it knows that."""
    top = _data_top(error, graph)
    name = record(top.blob, error.sample, error.check.samples) if top else None
    return InputError(f"{error.reason} ({name})" if name else error.reason, error.check.layer)


def _data_top(error: OutOfRangeError, graph: Graph) -> Value | None:
    """The data top that the bottom holds, sought through layers of one bottom such as Slice and Reshape."""
    makers = {value: node for node in graph.nodes for value in node.outputs}
    reader = next(node for node in graph.nodes if _is_reader(node, error))
    value = reader.inputs[error.check.bottom]
    while len(makers[value].inputs) == 1:
        (value,) = makers[value].inputs
    return value if makers[value].is_data else None


def _is_reader(node: Node, error: OutOfRangeError) -> bool:
    return node.layer.name == error.check.layer and len(node.inputs) > error.check.bottom
