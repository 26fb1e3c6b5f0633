"""A layer without a rule of its own as ONNX nodes: torch's exporter writes it, alone."""

from collections.abc import Sequence
from typing import Any

import onnx
import onnx.compose
import onnx.shape_inference
import onnx_ir as ir
import torch
from onnx import numpy_helper
from torch import nn

from converters.build import as_tuple
from converters.export.nodes.naming import all_nodes
from converters.export.nodes.writer import NotFreeError, Shape, Tensor, Writer
from converters.export.silence import silenced
from converters.export.tidy import tidy
from converters.layers import Layer

Exported = tuple[onnx.ModelProto, dict[str, str]]
LEAST_OPSET = 18  # of torch's exporter
_ONE_SIZE = "torch's exporter has it for one size alone"


class _Alone(nn.Module):
    """The layer, whose outputs are its tops."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return as_tuple(self.layer(*bottoms))


def by_torch(layer: Layer, g: Writer, bottoms: Sequence[Tensor], sizes: Sequence[Sequence[int]]) -> list[str]:
    """The tops of ``layer``, its bottoms being of ``sizes`` where their axes are not of any size.

    Raises NotFreeError where an axis that should be free cannot be, and what torch raises otherwise.
    """
    model, keys = _exported(layer, g.opset, [x.shape for x in bottoms], sizes)
    prefix = f"{g.fresh()}/"  # which no name of ours has
    graph = onnx.compose.add_prefix_graph(model.graph, prefix)
    given = {item.name: x.name for item, x in zip(graph.input, bottoms, strict=True)}
    for tensor in graph.initializer:
        key = keys.get(tensor.name.removeprefix(prefix), "")
        given[tensor.name] = g.blob(layer, key, numpy_helper.to_array(tensor))
    for node in all_nodes(graph.node):  # graphs inside nodes see what is around them
        node.ClearField("metadata_props")  # torch's notes of itself, paths of its files among them
        node.ClearField("doc_string")
        node.input[:] = [given.get(name, name) for name in node.input]
        node.name = g.layer
    g.nodes.extend(graph.node)
    return [given.get(item.name, item.name) for item in graph.output]


def _exported(layer: Layer, opset: int, shapes: Sequence[Shape], sizes: Sequence[Sequence[int]]) -> Exported:
    axes = tuple(
        {at: _dim(at, size[at]) for at, side in enumerate(shape) if side is None}
        for shape, size in zip(shapes, sizes, strict=True)
    )
    alone = _Alone(layer).eval()
    inputs = tuple(torch.zeros(tuple(size)) for size in sizes)
    try:
        with silenced():
            program = torch.onnx.export(
                alone,
                inputs,
                dynamic_shapes={"bottoms": axes} if any(axes) else None,
                dynamo=True,
                verbose=False,
                optimize=False,
                opset_version=max(opset, LEAST_OPSET),
            )
    except Exception as error:
        if any(axes):
            raise NotFreeError(_ONE_SIZE) from error  # whose text is of torch's insides, in colours
        raise
    assert program is not None
    for value, shape in zip(program.model.graph.inputs, shapes, strict=True):
        if not _has_free(value, shape):
            raise NotFreeError("it is not the same for every size")
    made = _tidied(program.model, layer)
    if any(axes):
        _check_shapes(made[0])
    return made


def _check_shapes(model: onnx.ModelProto) -> None:
    """torch makes nodes whose shapes do not go together, of some layers, where axes are of any size."""
    try:
        onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise NotFreeError(_ONE_SIZE) from error


def _has_free(value: ir.Value, shape: Shape) -> bool:
    """Whether torch has left the axes open that should be: some it takes for numbers without a word."""
    sides = value.shape or ()
    return all(side is not None or not isinstance(sides[at], int) for at, side in enumerate(shape))


def _dim(axis: int, size: int) -> Any:
    """Axes 0 of one size are one batch, which torch need not hold apart; of others it finds out itself."""
    return torch.export.Dim(f"batch{size}") if axis == 0 else torch.export.Dim.DYNAMIC


def _tidied(model: ir.Model, layer: Layer) -> Exported:
    """The model, and what its initializers are that hold a blob of the layer: the blob's attribute, with
    ``.T`` behind where it is transposed.
    """
    held = model.graph.initializers
    keys = {held[f"layer.{slot}"]: slot for slot in layer.slots if f"layer.{slot}" in held}
    tidy(model, keys)
    for number, value in enumerate(_values(model.graph)):
        value.name = f"{number}"  # the exporter may call two of them the same
    names = {value.name: key for value, key in keys.items() if value.name}
    return ir.to_proto(model), names


def _values(graph: ir.Graph) -> Sequence[ir.Value]:
    """Every value of a graph and of the graphs inside it, once."""
    nodes = list(graph.all_nodes())
    graphs = [graph, *{id(node.graph): node.graph for node in nodes if node.graph}.values()]
    sources = [value for inner in graphs for value in [*inner.inputs, *inner.initializers.values()]]
    return list(dict.fromkeys([*sources, *(value for node in nodes for value in node.outputs)]))
