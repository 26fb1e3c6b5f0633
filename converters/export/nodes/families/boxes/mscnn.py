"""MS-CNN's proposals of several maps, and its cascade's moved rois."""

from collections.abc import Sequence

import numpy as np

from converters.export.nodes.families.boxes.grid import places, side
from converters.export.nodes.families.boxes.rows import best, suppressed
from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Copy, Tensor, Writer
from converters.layers.forks.mscnn.box_output import NOTHING, BoxOutput, DecodeBBox
from converters.layers.parts.boxes.fields import Deltas, Field


@to_onnx.register
def _(layer: BoxOutput, g: Writer, *maps: Tensor) -> Tops:
    """The later place goes first of equal scores, so all stand the other way round."""
    spec = layer.spec
    parts = [_of_map(layer, g, x, field) for x, field in zip(maps, spec.fields, strict=True)]
    boxes, values = (_turned(g, part) for part in zip(*parts, strict=True))
    sizes = [n for x in maps for n in x.shape[2:]]
    count = None if None in sizes else sum((x.shape[2] or 0) * (x.shape[3] or 0) for x in maps)
    scores = Tensor(g.add("Unsqueeze", values, g.ints([1])), (None, 1, count))
    few = Tensor(best(g, scores, spec.max_nms_num or None), scores.shape)
    rows = suppressed(g, boxes, few, spec.max_post_nms_num or None, spec.iou_thr)
    image, _, place = g.split(rows, [1, 1, 1], 1)
    corners = g.add("GatherND", boxes, g.add("Concat", image, place, axis=1))
    rois = g.add("Concat", g.cast(image), corners, axis=1)
    tops = [_or_one(g, rois, NOTHING)]
    if layer.tops > 1:
        of_rois = g.add("Unsqueeze", g.add("GatherND", scores.name, rows), g.ints([1]))
        tops.append(_or_one(g, g.add("Concat", rois, of_rois, axis=1), (0.0,) * 6))
    return tops


def _turned(g: Writer, parts: Sequence[str]) -> str:
    """What the maps have, one behind the other along axis 1, the last first."""
    every = parts[0] if len(parts) == 1 else g.add("Concat", *parts, axis=1)
    return g.add("Slice", every, g.ints([-1]), g.ints([-(2**62)]), g.ints([1]), g.ints([-1]))


def _or_one(g: Writer, rows: str, one: Sequence[float]) -> str:
    """Rows (R, W), or ``one`` where there is none, as (R, W, 1, 1)."""
    count = g.add("Slice", g.add("Shape", rows), g.ints([0]), g.ints([1]))
    every = g.add("Concat", rows, g.constant([one]), axis=0)
    chosen = g.add("Slice", every, g.ints([0]), g.add("Max", count, g.ints([1])), g.ints([0]))
    return g.add("Unsqueeze", chosen, g.ints([2, 3]))


def _of_map(layer: BoxOutput, g: Writer, x: Tensor, field: Field) -> tuple[str, str]:
    """Corners (N, P, 4), and scores (N, P), -inf of what is no candidate."""
    spec, channels = layer.spec, x.shape[1] or 0
    cells = g.add("Unsqueeze", g.add("Transpose", x.name, perm=[0, 2, 3, 1]), g.ints([3]))
    background, classes, deltas = g.split(cells, [1, channels - 5, 4], 4)
    score = g.add("Sub", g.reduced("ReduceMax", classes, [4], keepdims=True), background)
    start, sides = _in_image(g, x, field, _back(g, deltas, spec.deltas))
    least = g.reduced("ReduceMin", sides, [4], keepdims=True)
    is_big = g.add("GreaterOrEqual", least, g.constant(spec.min_size))
    counts = g.add("And", g.add("GreaterOrEqual", score, g.constant(spec.fg_thr)), is_big)
    score = g.add("Where", counts, score, g.constant(-np.inf))
    corners = g.add("Concat", start, g.add("Add", start, sides), axis=4)
    shape = (x.shape[0], *(None,) * 4)
    return g.reshape(Tensor(corners, shape), [Copy(0), -1, 4]), g.reshape(Tensor(score, shape), [Copy(0), -1])


def _in_image(g: Writer, x: Tensor, field: Field, deltas: str) -> tuple[str, str]:
    """Left and top, and width and height, of boxes cut off at the image: (N, H, W, 1, 2) twice."""
    (move, growth), size = field.bounds, g.constant([field.field_w, field.field_h])
    moves, grows = g.split(deltas, [2, 2], 4)
    sides = g.add("Mul", g.add("Exp", _within(g, grows, growth)), size)
    middle = g.add("Add", g.add("Mul", _within(g, moves, move), size), _middles(g, x, field.downsample_rate))
    start = g.add("Max", g.add("Sub", middle, g.scaled(sides, 0.5)), g.constant(0.0))
    return start, g.add("Min", sides, g.add("Sub", _image(g, x, field.downsample_rate), start))


def _within(g: Writer, x: str, most: float) -> str:
    return g.add("Clip", x, g.constant(-most), g.constant(most))


def _middles(g: Writer, x: Tensor, rate: float) -> str:
    """Of the fields, across and down: (H, W, 1, 2)."""
    at = places(g, x)
    if at in g.arrays:
        return g.constant((g.arrays[at] + 0.5) * rate)
    return g.scaled(g.shifted(at, 0.5), rate)


def _image(g: Writer, x: Tensor, rate: float) -> str:
    """The image's width and height in whole pixels, [2]."""
    height, width = x.shape[2:]
    if height is not None and width is not None:
        return g.constant([int(width * rate), int(height * rate)])
    sides = g.add("Concat", side(g, x, 3), side(g, x, 2), axis=0)
    return g.add("Floor", g.scaled(sides, rate))


def _back(g: Writer, deltas: str, numbers: Deltas) -> str:
    """Deltas (…, 4) as they were before they were normalised."""
    if numbers == Deltas():
        return deltas
    return g.add("Add", g.add("Mul", deltas, g.constant(numbers.bbox_std)), g.constant(numbers.bbox_mean))


@to_onnx.register
def _(layer: DecodeBBox, g: Writer, deltas: Tensor, rois: Tensor, *match: Tensor) -> Tops:
    """In TEST every roi stays."""
    if layer.training or match:
        return None
    image, low, high = g.split(g.add("Reshape", rois.name, g.ints([-1, 5])), [1, 2, 2], 1)
    _, own = g.split(g.add("Reshape", deltas.name, g.ints([-1, 8])), [4, 4], 1)
    moves, growth = g.split(_back(g, own, layer.spec.deltas), [2, 2], 1)
    sides = g.shifted(g.add("Sub", high, low), 1.0)
    grown = g.shifted(g.add("Mul", sides, g.add("Exp", growth)), -1.0)
    middle = g.add("Add", g.add("Mul", moves, sides), g.scaled(g.add("Add", high, low), 0.5))
    first = g.add("Sub", middle, g.scaled(grown, 0.5))
    rows = g.add("Concat", image, first, g.add("Add", first, grown), axis=1)
    return [g.add("Unsqueeze", rows, g.ints([2, 3]))]
