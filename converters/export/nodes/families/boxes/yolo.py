"""What MobileNet-YOLO's nets detect."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from converters.export.nodes.families.boxes.grid import joined, places, side
from converters.export.nodes.families.boxes.rows import below, or_nothing, suppressed
from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Copy, Tensor, Writer
from converters.layers.forks.yolo.yolo_output import YoloDetectionOutput, Yolov3DetectionOutput


@to_onnx.register
def _(layer: Yolov3DetectionOutput, g: Writer, *maps: Tensor) -> Tops:
    """A candidate is a box of one class."""
    if layer.spec.nms_threshold <= 0:  # boxes that do not meet go, too
        return None
    boxes, objects, classes = _of_maps(layer, g, maps)
    scores = g.add("Mul", g.add("Sigmoid", classes), g.add("Sigmoid", objects))
    passes = g.add("Greater", scores, g.constant(layer.spec.confidence_threshold))
    at = g.add("Transpose", g.add("NonZero", passes), perm=[1, 0])
    place, label = g.split(at, [1, 1], 1)
    lines = g.add("Gather", boxes, g.add("Squeeze", place, g.ints([1])))
    return [_rows(layer, g, maps, lines, g.add("GatherND", scores, at), label)]


@to_onnx.register
def _(layer: YoloDetectionOutput, g: Writer, *maps: Tensor) -> Tops:
    """A candidate is a box, of its best class."""
    if layer.spec.nms_threshold <= 0:
        return None
    boxes, objects, classes = _of_maps(layer, g, maps)
    best = g.reduced("ReduceMax", g.add("Softmax", classes, axis=-1), [1], keepdims=True)
    scores = g.add("Squeeze", g.add("Mul", best, g.add("Sigmoid", objects)), g.ints([1]))
    passes = g.add("GreaterOrEqual", scores, g.constant(layer.spec.confidence_threshold))
    place = g.add("Squeeze", g.add("NonZero", passes), g.ints([0]))
    label = g.add("Gather", g.add("ArgMax", classes, axis=1, keepdims=1), place)
    lines, chances = (g.add("Gather", part, place) for part in (boxes, scores))
    return [_rows(layer, g, maps, lines, chances, label)]


def _of_maps(
    layer: YoloDetectionOutput | Yolov3DetectionOutput, g: Writer, maps: Sequence[Tensor]
) -> tuple[str, str, str]:
    """Of all maps the corners of their boxes (M, 4), and raw values of objects (M, 1) and classes (M, K)."""
    found = [
        _of_map(layer, g, x, np.asarray(of_map.numbers), of_map.scale)
        for x, of_map in zip(maps, layer.anchors, strict=True)
    ]
    boxes, objects, classes = (
        part[0] if len(part) == 1 else g.add("Concat", *part, axis=0) for part in zip(*found, strict=True)
    )
    return boxes, objects, classes


def _of_map(
    layer: YoloDetectionOutput | Yolov3DetectionOutput,
    g: Writer,
    x: Tensor,
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    scale: int,
) -> tuple[str, str, str]:
    count, classes = layer.spec.num_box, layer.spec.num_classes
    apart = g.reshape(x, [Copy(0), count, 5 + classes, Copy(2), Copy(3)])
    cells = g.add("Transpose", apart, perm=[0, 3, 4, 1, 2])
    place, growth, is_object, chances = g.split(cells, [2, 2, 1, classes], -1)
    sides = np.asarray(layer.spec.biases, np.float32).reshape(-1, 2)[numbers]
    size = joined(g, [side(g, x, 3), side(g, x, 2)])
    middle = g.add("Div", g.add("Add", g.add("Sigmoid", place), places(g, x)), size)
    anchors = g.add("Mul", g.add("Exp", growth), _shares(g, sides, size, scale))
    half = g.scaled(anchors, 0.5)
    corners = g.add("Concat", g.add("Sub", middle, half), g.add("Add", middle, half), axis=-1)
    parts = (corners, 4), (is_object, 1), (chances, classes)
    boxes, objects, values = (g.add("Reshape", part, g.ints([-1, width])) for part, width in parts)
    return boxes, objects, values


def _shares(
    g: Writer, sides: np.ndarray[tuple[int, ...], np.dtype[np.float32]], size: str, scale: int
) -> str:
    """Widths and heights of anchors as shares of an image of ``scale`` units a cell."""
    if size in g.arrays:
        return g.constant(sides / (g.arrays[size] * np.float32(scale)))
    return g.add("Div", g.constant(sides), g.scaled(size, scale))


def _rows(
    layer: YoloDetectionOutput | Yolov3DetectionOutput,
    g: Writer,
    maps: Sequence[Tensor],
    boxes: str,
    scores: str,
    labels: str,
) -> str:
    """Of candidates (R, 4), (R,) and labels (R, 1) those that stay, whatever their images and classes."""
    limit = below(layer.spec.nms_threshold)
    group = g.add("Unsqueeze", boxes, g.ints([0]))
    one_class = Tensor(g.add("Unsqueeze", scores, g.ints([0, 1])), (1, 1, None))
    stays = g.split(suppressed(g, group, one_class, None, limit), [2, 1], 1)[1]
    place = g.add("Squeeze", stays, g.ints([1]))
    label = g.add("Add", g.add("Gather", labels, place), g.ints(1))
    parts = [
        g.cast(label, TensorProto.FLOAT),
        g.add("Gather", scores, stays),
        g.add("Gather", boxes, place),
    ]
    rows = g.add("Pad", g.add("Concat", *parts, axis=1), g.ints([0, 1, 1, 0]), g.constant(0.0))
    return or_nothing(g, rows, g.side(maps[0], 0))
