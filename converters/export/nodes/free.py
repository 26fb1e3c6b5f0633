"""Which axes of a net's values follow the batch, or the height and width of its images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch

from converters.build import build_modules
from converters.export.nodes.writer import NotFreeError, Shape
from converters.graph import Graph, Value
from converters.layers.base import one_more_row
from converters.layers.registry import record_of
from converters.network import Network
from prototxt.errors import InputError

_WIDER = (96, 160)  # pixels that no stride of a real net divides alike


@dataclass(frozen=True)
class Free:
    """What of a file's inputs is of any size."""

    batch: bool = False
    size: bool = False

    def inputs(self, net: Network) -> dict[str, tuple[int, ...]]:
        """Another shape for each input."""
        return {value.blob: self.other(tuple(net.shapes[value])) for value in net.graph.inputs}

    def other(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Another shape that an input may have."""
        sides = list(shape)
        if self.batch and sides:
            sides[0] += 1
        if self.size and len(sides) == 4:
            sides[2:] = [side + more for side, more in zip(sides[2:], _WIDER, strict=True)]
        return tuple(sides)


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


def named_axes(graph: Graph, values: Mapping[Value, Shape], free: Free) -> dict[Value, tuple[int | str, ...]]:
    """The shapes of the inputs and outputs as a file says them: the free axes by their names."""
    images = [value for value in graph.inputs if len(values[value]) == 4]
    ends = [*graph.inputs, *graph.outputs]
    return {
        value: tuple(_axis(value, at, values[value], images, free) for at in range(len(values[value])))
        for value in ends
    }


def _axis(value: Value, at: int, shape: Shape, images: list[Value], free: Free) -> int | str:
    side = shape[at]
    if side is not None:
        return side
    if at == 0 and free.batch:
        return "batch"
    axes = {2: "height", 3: "width"}
    return axes[at] if images and value == images[0] and at in axes else f"{value.blob}_{at}"
