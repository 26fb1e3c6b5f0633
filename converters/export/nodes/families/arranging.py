"""Layers that join blobs, take them apart, change their shape or leave a few numbers of many."""

from functools import reduce
from itertools import pairwise

import numpy as np
from onnx import TensorProto

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Copy, Tensor, Writer
from converters.layers.arranging.combine import Concat, Eltwise, Silence, Slice, Split
from converters.layers.arranging.pick import BatchReindex
from converters.layers.arranging.reduce import ArgMax, Reduction
from converters.layers.arranging.shape import Crop, Flatten, Reshape, Tile


@to_onnx.register
def _(layer: Concat, g: Writer, *bottoms: Tensor) -> Tops:
    return [_joined(g, bottoms, layer.spec.axis)]


def _joined(g: Writer, bottoms: tuple[Tensor, ...], axis: int) -> str:
    """Constants (SSD's priors) are joined here."""
    if all(x.name in g.arrays for x in bottoms):
        return g.hold(np.concatenate([g.arrays[x.name] for x in bottoms], axis), f"{g.layer}.joined")
    return bottoms[0].name if len(bottoms) == 1 else g.add("Concat", *(x.name for x in bottoms), axis=axis)


@to_onnx.register
def _(layer: Slice, g: Writer, x: Tensor) -> Tops:
    """An axis of any size is cut at its points, or into equal parts."""
    axis, points = layer.spec.axis, list(layer.spec.slice_point)
    size = x.shape[axis]
    if size is None and layer.tops > 1:
        return None
    ends = points or [size // layer.tops * part for part in range(1, layer.tops)] if size else []
    return g.split(x.name, [b - a for a, b in pairwise([0, *ends, size or 0])], axis)


@to_onnx.register
def _(layer: Eltwise, g: Writer, *bottoms: Tensor) -> Tops:
    """In place its values may be others than the formula's."""
    if layer.in_place:
        return None
    coefficients = layer.coefficients if layer.spec.operation == "SUM" else [1.0] * len(bottoms)
    terms = [g.scaled(x.name, c) for x, c in zip(bottoms, coefficients, strict=True)]
    op = {"SUM": "Add", "PROD": "Mul", "MAX": "Max"}[layer.spec.operation]
    return [reduce(lambda one, other: g.add(op, one, other), terms)]


@to_onnx.register
def _(layer: Split, g: Writer, x: Tensor) -> Tops:
    return [x.name] * layer.count


@to_onnx.register
def _(layer: Silence, g: Writer, *bottoms: Tensor) -> Tops:
    return []


@to_onnx.register
def _(layer: BatchReindex, g: Writer, x: Tensor, index: Tensor) -> Tops:
    return [g.add("Gather", x.name, g.cast(index.name, TensorProto.INT64), axis=0)]


@to_onnx.register
def _(layer: Flatten, g: Writer, x: Tensor) -> Tops:
    start, end, last = layer.spec.axis, layer.spec.end_axis, len(x.shape) - 1
    if end < start:
        return [g.add("Unsqueeze", x.name, g.ints([start]))]
    if end == last:
        return [g.flatten(x, start)]
    middle = -1 if end > start else Copy(start)
    behind = [Copy(at) for at in range(end + 1, last + 1)]
    return [g.reshape(x, [*(Copy(at) for at in range(start)), middle, *behind])]


@to_onnx.register
def _(layer: Reshape, g: Writer, x: Tensor) -> Tops:
    spec = layer.spec
    before = [Copy(at) for at in range(spec.axis)]
    middle = [dim if dim else Copy(spec.axis + at) for at, dim in enumerate(spec.shape)]
    return [g.reshape(x, [*before, *middle, *(Copy(at) for at in range(spec.end, len(x.shape)))])]


@to_onnx.register
def _(layer: Crop, g: Writer, x: Tensor, reference: Tensor) -> Tops:
    axes = list(range(layer.spec.axis, len(x.shape)))
    starts = g.ints(layer.spec.offset)
    sizes = [reference.shape[axis] for axis in axes]
    if None not in sizes:
        ends = g.ints([o + (n or 0) for o, n in zip(layer.spec.offset, sizes, strict=True)])
    else:
        ends = g.add("Add", g.add("Concat", *(g.side(reference, axis) for axis in axes), axis=0), starts)
    return [g.add("Slice", x.name, starts, ends, g.ints(axes))]


@to_onnx.register
def _(layer: Tile, g: Writer, x: Tensor) -> Tops:
    tiles = [layer.spec.tiles if axis == layer.spec.axis else 1 for axis in range(len(x.shape))]
    return [g.add("Tile", x.name, g.ints(tiles))]


@to_onnx.register
def _(layer: Reduction, g: Writer, x: Tensor) -> Tops:
    op = _REDUCTIONS[layer.spec.operation]
    total = g.reduced(op, x.name, range(layer.spec.axis, len(x.shape)))
    return [g.scaled(total, layer.spec.coeff)]


_REDUCTIONS = {"SUM": "ReduceSum", "ASUM": "ReduceL1", "SUMSQ": "ReduceSumSquare", "MEAN": "ReduceMean"}


@to_onnx.register
def _(layer: ArgMax, g: Writer, x: Tensor) -> Tops:
    """The greatest alone; of several, equal ones come in an order that torch's exporter knows to make."""
    spec = layer.spec
    if spec.top_k != 1 or spec.out_max_val:
        return None
    if spec.axis is not None:
        return [g.cast(g.add("ArgMax", x.name, axis=spec.axis, keepdims=1, select_last_index=1))]
    rows = g.flatten(x, 1) if len(x.shape) > 1 else g.add("Unsqueeze", x.name, g.ints([1]))
    place = g.cast(g.add("ArgMax", rows, axis=1, keepdims=1, select_last_index=1))
    return [g.reshape(Tensor(place, (x.shape[0], 1)), [Copy(0), 1, 1, *(1,) * (len(x.shape) - 3)])]
