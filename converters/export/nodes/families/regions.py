"""Layers that read regions of a feature map."""

from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from converters.export.nodes.families.boxes.grid import side
from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Tensor, Writer
from converters.layers.forks.mscnn.roi_align import ROIAlign
from converters.layers.forks.rcnn.roi_pooling import PSROIPooling, PSROIPoolingSpec, ROIPooling


@to_onnx.register
def _(layer: ROIPooling, g: Writer, x: Tensor, rois: Tensor) -> Tops:
    """ONNX's MaxRoiPool has Fast R-CNN's rule; MS-CNN's margin is put round the rois."""
    spec, rows = layer.spec, _rows(g, rois)
    if spec.pad_ratio:
        rows = g.add("Concat", *_larger(g, rows, spec.pad_ratio), axis=1)
    pooled = [spec.pooled_h, spec.pooled_w]
    return [g.add("MaxRoiPool", x.name, rows, pooled_shape=pooled, spatial_scale=spec.spatial_scale)]


def _larger(g: Writer, rows: str, share: float) -> tuple[str, str, str]:
    """The image (R, 1), left and top, and right and bottom (R, 2), of rois larger by that share of their
    sides at every edge.
    """
    image, first, last = g.split(rows, [1, 2, 2], 1)
    if not share:
        return image, first, last
    pad = g.scaled(g.shifted(g.add("Sub", last, first), 1.0), share)
    return image, g.add("Sub", first, pad), g.add("Add", last, pad)


def _rows(g: Writer, rois: Tensor) -> str:
    return rois.name if len(rois.shape) == 2 else g.add("Reshape", rois.name, g.ints([-1, 5]))


@to_onnx.register
def _(layer: PSROIPooling, g: Writer, x: Tensor, rois: Tensor) -> Tops:
    """From sums over all pixels above and to the left, in float64, that differences keep their digits."""
    spec, (image, corners) = layer.spec, g.split(_rows(g, rois), [1, 4], 1)
    below, right = (g.add("Add", g.side(x, axis), g.ints([1])) for axis in (2, 3))
    begins, ends = _bins(g, spec, x, corners)
    (left, top), (end, bottom) = (g.split(part, [1, 1], 1) for part in (begins, ends))
    number = g.cast(g.add("Unsqueeze", image, g.ints([1])), TensorProto.INT64)
    first = g.add("Mul", number, below)
    rows = [g.add("Mul", g.add("Add", first, row), right) for row in (top, bottom)]
    rows = [
        g.add("Transpose", row, perm=[0, 2, 1]) for row in rows
    ]  # (R, bins, 1), columns being (R, 1, bins)
    values = _sums(g, spec, x)
    upper, lower = (
        g.add("Sub", *(_at(g, spec, values, g.add("Add", row, column)) for column in (end, left)))
        for row in rows
    )
    height = g.add("Transpose", g.add("Sub", bottom, top), perm=[0, 2, 1])
    area = g.add(
        "Max", g.add("Mul", height, g.add("Sub", end, left)), g.ints(1)
    )  # an empty one has a sum of 0
    area = g.add("Unsqueeze", g.cast(area, TensorProto.DOUBLE), g.ints([3]))
    mean = g.cast(g.add("Div", g.add("Sub", lower, upper), area))
    return [g.add("Transpose", mean, perm=[0, 3, 1, 2])]


def _bins(g: Writer, spec: PSROIPoolingSpec, x: Tensor, corners: str) -> list[str]:
    """Where each bin begins and ends, across and down: two of (R, 2, group_size), whole numbers."""
    exact = g.cast(corners, TensorProto.DOUBLE)  # in which halves are told from what is almost one
    whole = g.add("Floor", g.add("Add", g.add("Abs", exact), g.constant(0.5, np.float64)))
    first, last = g.split(g.cast(g.add("Mul", g.add("Sign", exact), whole)), [2, 2], 1)
    start, end = (g.scaled(edge, spec.spatial_scale) for edge in (first, g.shifted(last, 1.0)))
    length = g.add("Max", g.add("Sub", end, start), g.constant(0.1))
    step = g.add("Unsqueeze", g.add("Div", length, g.constant(spec.group_size)), g.ints([2]))
    begin, bins = g.add("Unsqueeze", start, g.ints([2])), np.arange(spec.group_size)
    edges = [g.add("Add", g.add("Mul", step, g.constant(at)), begin) for at in (bins, bins + 1)]
    places = [g.cast(g.add(op, e), TensorProto.INT64) for op, e in zip(("Floor", "Ceil"), edges, strict=True)]
    size = g.add("Unsqueeze", g.add("Concat", g.side(x, 3), g.side(x, 2), axis=0), g.ints([1]))
    return [g.add("Max", g.add("Min", place, size), g.ints(0)) for place in places]


def _sums(g: Writer, spec: PSROIPoolingSpec, x: Tensor) -> str:
    """(N·(H + 1)·(W + 1)·bins, output_dim)."""
    sums = g.cast(x.name, TensorProto.DOUBLE)
    for axis in (3, 2):
        sums = g.add("CumSum", sums, g.ints(axis))
    sums = g.add("Pad", sums, g.ints([0, 0, 1, 1, 0, 0, 0, 0]), g.constant(0.0, np.float64))
    by_place = g.add(
        "Reshape",
        g.add("Transpose", sums, perm=[0, 2, 3, 1]),
        g.ints([-1, spec.output_dim, spec.group_size**2]),
    )
    return g.add("Reshape", g.add("Transpose", by_place, perm=[0, 2, 1]), g.ints([-1, spec.output_dim]))


def _at(g: Writer, spec: PSROIPoolingSpec, values: str, place: str) -> str:
    """The sums at places (R, bins, bins), each in its bin's channels: (R, bins, bins, output_dim)."""
    bins = np.arange(spec.group_size**2).reshape(spec.group_size, -1)
    number = g.add("Add", g.add("Mul", place, g.ints(spec.group_size**2)), g.ints(bins))
    return g.add("Gather", values, number)


@to_onnx.register
def _(layer: ROIAlign, g: Writer, x: Tensor, rois: Tensor) -> Tops:
    """At the corners of bins, which ONNX's RoiAlign has not: four pixels of each, blended."""
    spec = layer.spec
    image, first, last = _larger(g, _rows(g, rois), spec.pad_ratio)
    start, end = (g.shifted(g.scaled(edge, spec.spatial_scale), -0.5) for edge in (first, last))
    (left, top), (right, below) = (g.split(edge, [1, 1], 1) for edge in (start, end))
    columns, rows = (
        _corners(g, x, 3, spec.pooled_w, left, right),
        _corners(g, x, 2, spec.pooled_h, top, below),
    )
    by_place = g.add("Transpose", x.name, perm=[0, 2, 3, 1])
    pixels = g.add("Reshape", by_place, g.ints([-1, x.shape[1] or 1]))
    number = g.add("Unsqueeze", g.cast(image, TensorProto.INT64), g.ints([2]))
    lines = [_line(g, pixels, _begins(g, x, number, row), columns) for row in (rows.near, rows.far)]
    values = _blended(g, lines[0], lines[1], g.add("Unsqueeze", rows.share, g.ints([2, 3])))
    of_rows, of_columns = (
        g.add("Unsqueeze", part.counts, g.ints(axes)) for part, axes in ((rows, [2, 3]), (columns, [1, 3]))
    )
    counts = g.add("And", of_rows, of_columns)
    return [g.add("Transpose", g.add("Where", counts, values, g.constant(0.0)), perm=[0, 3, 1, 2])]


class _Corners(NamedTuple):
    """Of bins along an axis, each (R, bins + 1): the pixel before and the one behind, how much the latter
    counts, and whether any does.
    """

    near: str
    far: str
    share: str
    counts: str


def _begins(g: Writer, x: Tensor, image: str, row: str) -> str:
    """The numbers of the pixels with which rows (R, bins + 1) of images (R, 1, 1) begin: (R, bins + 1, 1)."""
    at = g.add("Add", g.add("Mul", image, g.side(x, 2)), g.add("Unsqueeze", row, g.ints([2])))
    return g.add("Mul", at, g.side(x, 3))


def _line(g: Writer, pixels: str, begins: str, columns: _Corners) -> str:
    """Rows' pixels (N·H·W, C) at the columns, blended: (R, bins + 1, bins + 1, C)."""
    near, far = (
        g.add("Gather", pixels, g.add("Add", begins, g.add("Unsqueeze", column, g.ints([1]))))
        for column in (columns.near, columns.far)
    )
    return _blended(g, near, far, g.add("Unsqueeze", columns.share, g.ints([1, 3])))


def _corners(g: Writer, x: Tensor, axis: int, bins: int, start: str, end: str) -> _Corners:
    step = g.add("Div", g.add("Sub", end, start), g.constant(bins))
    at = g.add("Add", start, g.add("Mul", step, g.constant(np.arange(bins + 1))))
    last = g.shifted(side(g, x, axis), -1.0)
    inside = g.add(
        "And",
        g.add("GreaterOrEqual", at, g.constant(-0.5)),
        g.add("LessOrEqual", at, g.shifted(last, 0.5)),
    )
    counts = g.add("And", inside, g.add("Greater", end, start))
    at = g.add("Max", g.add("Min", at, last), g.constant(0.0))
    near = g.add("Floor", at)
    far = g.add("Min", g.shifted(near, 1.0), last)
    first, second = (g.cast(edge, TensorProto.INT64) for edge in (near, far))
    return _Corners(first, second, g.add("Sub", at, near), counts)


def _blended(g: Writer, near: str, far: str, share: str) -> str:
    rest = g.add("Sub", g.constant(1.0), share)
    return g.add("Add", g.add("Mul", near, rest), g.add("Mul", far, share))
