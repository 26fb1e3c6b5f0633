"""Which axes of a net's values follow the batch, or the height and width of its images."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from converters.build import build_modules
from converters.export.nodes.writer import NotFreeError, Shape
from converters.graph import Value
from converters.layers.base import one_more_row
from converters.layers.connected.recurrent import Recurrent
from converters.layers.registry import record_of
from converters.network import Network
from prototxt.errors import InputError

_MORE = {"batch": 1, "time": 2, "height": 96, "width": 160}  # no stride of a real net divides these alike


@dataclass(frozen=True)
class Free:
    """What of a file's inputs is of any size: the batch, with recurrent layers' time, and the height and
    width of images.
    """

    batch: bool = False
    size: bool = False

    def axes(self, net: Network) -> dict[Value, dict[int, str]]:
        """Which axes of each input are of any size: batch, time, height or width."""
        batch = _batch_axes(net) if self.batch else {value: {} for value in net.graph.inputs}
        size = {2: "height", 3: "width"}
        return {
            value: axes | (size if self.size and len(net.shapes[value]) == 4 else {})
            for value, axes in batch.items()
        }

    def inputs(self, net: Network) -> dict[str, tuple[int, ...]]:
        """Another shape for each input."""
        return {
            value.blob: tuple(n + _MORE.get(axes.get(at, ""), 0) for at, n in enumerate(net.shapes[value]))
            for value, axes in self.axes(net).items()
        }

    def of_batch(self, net: Network, batch: int) -> dict[str, tuple[int, ...]]:
        """The net's shapes with this batch, where it is of any size, and as much more time as images."""
        shapes = {}
        for value, axes in self.axes(net).items():
            sizes = [
                {"batch": batch, "time": n + batch - 1}.get(axes.get(at, ""), n)
                for at, n in enumerate(net.shapes[value])
            ]
            shapes[value.blob] = tuple(sizes)
        return shapes


def _batch_axes(net: Network) -> dict[Value, dict[int, str]]:
    """Axis 0 of every input or, where a layer takes sequences (T, N, …), the axes that are as those."""
    layers = [(node, net.module_of(node)) for node in net.graph.nodes if not node.is_data]
    readers = [(node, layer) for node, layer in layers if isinstance(layer, Recurrent)]
    states = {value for node, layer in readers for value in node.inputs[2 + layer.has_static :]}
    sequence = tuple(net.shapes[readers[0][0].inputs[0]][:2]) if readers else ()
    axes = {value: {0: "batch"} for value in net.graph.inputs}
    for value in net.graph.inputs:
        if value in states:
            axes[value] = {1: "batch"}
        elif sequence and tuple(net.shapes[value][:2]) == sequence:
            axes[value] = {0: "time", 1: "batch"}
    return axes


class Shapes(NamedTuple):
    """The shape of every value with None for each axis that follows what is free, and a sample of it."""

    free: dict[Value, Shape]
    sample: dict[Value, tuple[int, ...]]


def shapes_of(net: Network, free: Free) -> Shapes:
    """The shapes of a net's values; axes that a detector's rows decide are of any size whatever is free.

    Raises NotFreeError where a layer does not take other sizes.
    """
    ours = {value: tuple(shape) for value, shape in net.shapes.items()}
    has_rows = any(record_of(node.layer).rows is not None for node in net.graph.nodes)
    if not (free.batch or free.size or has_rows):
        return Shapes(dict(ours), ours)
    try:
        with one_more_row():
            modules, theirs = build_modules(net.graph, "TEST", free.inputs(net))
    except InputError as error:
        raise NotFreeError(f'layer "{error.layer}": {error}') from error
    for node, module in modules.items():
        if (sizes := net.module_of(node).sizes) != module.sizes:
            raise NotFreeError(
                f'layer "{node.layer.name}" would have to have blobs {module.sizes}, not {sizes}'
            )
    return Shapes(
        {value: _free(shape, theirs[value]) for value, shape in ours.items()},
        {value: tuple(shape) for value, shape in theirs.items()},
    )


def _free(one: tuple[int, ...], other: torch.Size) -> Shape:
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))


def named_axes(net: Network, shapes: Shapes, free: Free) -> dict[Value, tuple[int | str, ...]]:
    """The shapes of the inputs and outputs as a file says them: the free axes by their names."""
    known = free.axes(net)
    for value in [value for value in net.graph.inputs if len(net.shapes[value]) == 4][1:]:
        known[value] = {at: name for at, name in known[value].items() if at < 2}  # one has height and width
    is_timed = any("time" in axes.values() for axes in known.values())
    known |= {value: _grown(net, shapes, value, free.batch, is_timed) for value in net.graph.outputs}
    return {
        value: tuple(
            axes.get(at, f"{value.blob}_{at}") if side is None else side
            for at, side in enumerate(shapes.free[value])
        )
        for value, axes in known.items()
    }


def _grown(net: Network, shapes: Shapes, value: Value, has_batch: bool, is_timed: bool) -> dict[int, str]:
    """Which axes of an output grow as the batch does, or as time."""
    growth = [b - a for a, b in zip(net.shapes[value], shapes.sample[value], strict=True)]
    if not is_timed:
        return {0: "batch"} if has_batch and growth[:1] == [_MORE["batch"]] else {}
    names = {_MORE[name]: name for name in ("batch", "time")}
    return {at: names[more] for at, more in enumerate(growth) if more in names}
