"""A graph's modules and shapes, both from one pass on the meta device."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from converters.data.shapes import assumptions, top_shapes
from converters.graph import Graph, Node, Value
from converters.layers import Layer, build_layer
from converters.layers.checks import checked_size
from converters.layers.registry import record_of
from converters.meta import QuickShapes
from converters.net_state import trains
from prototxt.caffe_pb2 import TEST, TRAIN, LayerParameter
from prototxt.errors import InputError, nearest, of_layer

Shape = Sequence[int]


def build_modules(
    graph: Graph, phase: str, input_shapes: Mapping[str, Shape]
) -> tuple[dict[Node, Layer], dict[Value, torch.Size]]:
    """Every layer's module on the meta device, and every value's shape from running them there.

    Raises InputError, naming the layer, for what a layer cannot take.
    """
    modules: dict[Node, Layer] = {}
    values: dict[Value, Tensor] = {}
    with torch.device("meta"), torch.no_grad(), QuickShapes():  # type: ignore[no-untyped-call]
        for node in graph.nodes:
            bottoms = [values[value] for value in node.inputs]
            with _layer_named(node, bottoms):
                message = in_phase(node.layer, phase)
                module = build_layer(message, [x.shape for x in bottoms]).train(message.phase == TRAIN)
                module.has_own_phase = node.layer.HasField("phase")
                if node.is_data:
                    wanted = [value.blob for value in node.outputs]
                    shapes = top_shapes(node.layer, input_shapes, wanted, data_layers(graph))
                    tops = tuple(torch.empty(shape) for shape in shapes)
                else:
                    modules[node] = module
                    tops = as_tuple(module(*bottoms))
            for value, top in zip(node.outputs, tops, strict=False):
                checked_size(node.layer, f'top "{value.blob}"', top.shape)
            values.update(zip(node.outputs, tops, strict=False))
    return modules, {value: tensor.shape for value, tensor in values.items()}


def data_layers(graph: Graph) -> list[LayerParameter]:
    """The data layers of the graph's file, of every phase; none of a graph without one."""
    layers = graph.file.message.layer if graph.file else ()
    return [layer for layer in layers if record_of(layer).role == "data"]


def shape_notices(graph: Graph, input_shapes: Mapping[str, Shape]) -> Iterator[str]:
    """A line for each input whose shape neither the prototxt says in full nor ``input_shapes``."""
    for node in graph.nodes:
        if node.is_data:
            wanted = [value.blob for value in node.outputs]
            yield from assumptions(node.layer, input_shapes, wanted, data_layers(graph))


def in_phase(layer: LayerParameter, phase: str) -> LayerParameter:
    """The layer with the net's phase where it has none of its own, which beats the net's (Net::Init)."""
    message = LayerParameter()
    message.CopyFrom(layer)
    message.phase = TRAIN if trains(layer, phase) else TEST
    return message


def check_input_shapes(graph: Graph, blobs: Iterable[str]) -> None:
    """Raise InputError, with the inputs there are, for the shape of an input that the net does not have."""
    inputs = [top for node in graph.nodes if node.is_data for top in node.layer.top]
    for blob in blobs:
        if blob not in inputs:
            there = f"its inputs are {', '.join(inputs)}" if inputs else "it has none"
            raise InputError(
                f'the net has no input "{blob}" to give a shape to; {there}{nearest(blob, inputs)}'
            )


def infer_shapes(
    graph: Graph, phase: str = "TEST", input_shapes: Mapping[str, Shape] | None = None
) -> dict[Value, torch.Size]:
    """The shape of every value, in the order the layers make them; no weights are allocated."""
    return build_modules(graph, phase, input_shapes or {})[1]


def as_tuple(tops: Any) -> tuple[Tensor, ...]:
    """What a module returned, one tensor or several, as a tuple."""
    return tops if isinstance(tops, tuple) else (tops,)


@contextmanager
def _layer_named(node: Node, bottoms: list[Tensor]) -> Iterator[None]:
    """Turn a layer's refusal of its bottoms into one line that names the layer."""
    try:
        with of_layer(node.layer):
            yield
    except InputError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shapes = ", ".join(f'"{v.blob}" {tuple(x.shape)}' for v, x in zip(node.inputs, bottoms, strict=True))
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot take bottoms {shapes}: {reason}", node.layer.name, node.layer) from error
