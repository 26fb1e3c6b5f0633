"""Layers that join, cut, pick and reshape."""

from functools import reduce
from itertools import pairwise

from converters.export.source.helpers.greatest import argmax_of_samples, greatest
from converters.export.source.part import Call, Part, literal, times
from converters.export.source.rules import to_source
from converters.layers.arranging.combine import Concat, Eltwise, Slice, Split
from converters.layers.arranging.pick import BatchReindex, Filter
from converters.layers.arranging.reduce import ArgMax, Reduction
from converters.layers.arranging.shape import Crop, Flatten, Reshape, Tile


@to_source.register
def _(layer: Concat, c: Call) -> Part:
    return Part([f"torch.cat([{', '.join(c.bottoms)}], dim={layer.spec.axis})"])


@to_source.register
def _(layer: Slice, c: Call) -> Part:
    axis, points = layer.spec.axis, layer.spec.slice_point
    if c.tops == 1:
        return Part([c.x])
    if not points:
        return Part([f"torch.chunk({c.x}, {c.tops}, dim={axis})"])
    if axis > 1:  # height or width, of any size: the last part is the rest
        return Part([f"torch.tensor_split({c.x}, {points}, dim={axis})"])
    sizes = [end - start for start, end in pairwise([0, *points, c.shapes[0][axis]])]
    return Part([f"torch.split({c.x}, {sizes}, dim={axis})"])


@to_source.register
def _(layer: Split, c: Call) -> Part:
    return Part([c.x] * c.tops)


@to_source.register
def _(layer: Eltwise, c: Call) -> Part:
    """In place Caffe clears the first bottom before it reads it, but for PROD."""
    operation, bottoms, weights = layer.spec.operation, list(c.bottoms), list(layer.coefficients)
    if operation == "PROD":
        return Part([" * ".join(bottoms)])
    if layer.in_place:
        bottoms, weights = bottoms[1:], weights[1:]
    if operation == "MAX":
        return Part([reduce(lambda most, x: f"torch.maximum({most}, {x})", bottoms)])
    return Part([_sum(bottoms, weights)])


def _sum(bottoms: list[str], weights: list[float]) -> str:
    text = ""
    for x, weight in zip(bottoms, weights, strict=True):
        sign = " - " if weight < 0 else " + "
        text = f"{text}{sign}{times(x, abs(weight))}" if text else times(x, weight)
    return text


@to_source.register
def _(layer: BatchReindex, c: Call) -> Part:
    return Part([f"{c.x}[{c.bottoms[1]}.long()]"])


@to_source.register
def _(layer: Filter, c: Call) -> Part:
    return Part([f"{x}[{c.bottoms[-1]}.flatten() != 0]" for x in c.bottoms[:-1]])


@to_source.register
def _(layer: Reduction, c: Call) -> Part:
    spec = layer.spec
    values = {"ASUM": f"{c.x}.abs()", "SUMSQ": f"{c.x}.square()"}.get(spec.operation, c.x)
    kind = "mean" if spec.operation == "MEAN" else "sum"
    flat = f".flatten({spec.axis}).{kind}(-1)" if spec.axis else f".{kind}()"
    return Part([times(f"{values}{flat}", spec.coeff)])


@to_source.register
def _(layer: ArgMax, c: Call) -> Part:
    spec = layer.spec
    if spec.axis is None:
        values = literal(spec.out_max_val)
        call = f"argmax_of_samples({c.x}, k={spec.top_k}, with_values={values})"
        return Part([call], helpers=[argmax_of_samples])
    part = 0 if spec.out_max_val else 1
    return Part([f"greatest({c.x}, dim={spec.axis}, k={spec.top_k})[{part}]"], helpers=[greatest])


@to_source.register
def _(layer: Flatten, c: Call) -> Part:
    start, end = layer.spec.axis, layer.spec.end_axis
    if end < start:
        return Part([f"{c.x}.unsqueeze({start})"])
    return Part([f"{c.x}.flatten({start})" if end == c.axes - 1 else f"{c.x}.flatten({start}, {end})"])


@to_source.register
def _(layer: Reshape, c: Call) -> Part:
    spec = layer.spec
    before = [f"{c.x}.shape[{axis}]" for axis in range(spec.axis)]
    middle = [str(dim) if dim else f"{c.x}.shape[{spec.axis + at}]" for at, dim in enumerate(spec.shape)]
    after = [f"{c.x}.shape[{axis}]" for axis in range(spec.end, c.axes)]
    dims = [*before, *middle, *after]
    return Part([f"{c.x}.reshape({', '.join(dims) if dims else '()'})"])


@to_source.register
def _(layer: Crop, c: Call) -> Part:
    spec, size = layer.spec, c.bottoms[1]
    cuts = [":"] * spec.axis
    for axis, offset in enumerate(spec.offset, spec.axis):
        end = f"{size}.shape[{axis}]"
        cuts.append(f"{offset} : {offset} + {end}" if offset else f": {end}")
    return Part([f"{c.x}[{', '.join(cuts)}]"])


@to_source.register
def _(layer: Tile, c: Call) -> Part:
    counts = [layer.spec.tiles if axis == layer.spec.axis else 1 for axis in range(c.axes)]
    return Part([f"{c.x}.repeat({', '.join(map(str, counts))})"])
