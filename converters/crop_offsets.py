"""The offsets of FCN-era Crop layers, which say none: they follow from the layers between their bottoms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from converters.layers.checks import LARGEST
from converters.layers.parts.grid import SAME, Grid, Line, inverse_grid
from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError, of_layer

if TYPE_CHECKING:
    from converters.graph import Node, Value


def with_offsets(nodes: "Sequence[Node]") -> "list[Node]":
    """The nodes, those that crop by alignment with their offsets written out, as Caffe 1.0 reads them.

    Raises InputError, naming the layer, where the bottoms differ in scale, the offset is no whole number or
    below 0, or a layer between them has no pixels to follow.
    """
    makers: dict[Value, Node] = {}
    settled = []
    for node in nodes:
        with of_layer(node.layer):
            aligns = record_of(node.layer).aligns
            settled.append(replace(node, layer=_written_out(node, makers)) if aligns else node)
        makers.update(dict.fromkeys(node.outputs, settled[-1]))
    return settled


def _written_out(node: "Node", makers: "Mapping[Value, Node]") -> LayerParameter:
    """The layer with its offsets; 0 where the bottoms have nothing in common, for which the fork stops."""
    layer = LayerParameter()
    layer.CopyFrom(node.layer)
    layer.ClearField("dialect")
    layer.crop_param.axis = 2
    first, second = (list(_back(value, makers)) for value in node.inputs)
    of_first = set(first)
    common = next((value for value in second if value in of_first), None)
    if common is not None:
        to_first, to_second = (_grid(path[: path.index(common)], makers) for path in (first, second))
        lines = [b.after(a) for a, b in zip(inverse_grid(to_first), to_second, strict=True)]
        layer.crop_param.offset.extend(_offset(line, layer.name) for line in lines)
    return layer


def _back(value: "Value", makers: "Mapping[Value, Node]") -> "Iterator[Value]":
    """The value, its maker's first bottom, and so on up to the net's input."""
    yield value
    while (maker := makers.get(value)) and maker.inputs:
        value = maker.inputs[0]
        yield value


def _grid(path: "Sequence[Value]", makers: "Mapping[Value, Node]") -> Grid:
    """The pixels before the last value of ``path`` was made to those of the first."""
    height, width = SAME
    for value in path:
        layer = makers[value].layer
        record = record_of(layer)
        grid = record.grid(layer) if record.grid else (SAME if record.pointwise else None)
        if grid is None:
            raise InputError(f'cannot be aligned: nothing tells where layer "{layer.name}" puts pixels')
        height, width = height.after(grid[0]), width.after(grid[1])
    return height, width


def _offset(line: Line, name: str) -> int:
    """How far the first bottom's pixel 0 lies before the second's."""
    if line.scale != 1:
        raise InputError(f"bottoms differ in scale, by {float(line.scale):g}", name)
    if line.shift > 0 or line.shift.denominator != 1:
        raise InputError(
            f"the offset between the bottoms, {float(-line.shift):g}, is no whole number, as fcn's rule asks "
            "(by that of --dialect caffe it is 0)",
            name,
        )
    if -line.shift > LARGEST:
        raise InputError(f"the offset between the bottoms, {int(-line.shift)}, is beyond any blob", name)
    return int(-line.shift)
