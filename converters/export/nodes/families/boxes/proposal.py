"""Regions that a network proposes: PVANet's Proposal, and py-faster-rcnn's layer in Python."""

import numpy as np
import torch

from converters.export.nodes.families.boxes.grid import places
from converters.export.nodes.families.boxes.rows import below, count_of, suppressed
from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Tensor, Writer
from converters.layers.forks.rcnn.proposal import Proposal, PythonProposal
from converters.layers.parts.boxes.anchors import Anchors

Layer = Proposal | PythonProposal


@to_onnx.register
def _(layer: Proposal, g: Writer, scores: Tensor, deltas: Tensor, image: Tensor) -> Tops:
    """Small boxes have a score of 0; least width and height are scaled each by its own."""
    boxes, chances, info = _candidates(layer, g, scores, deltas, image)
    least = g.scaled(g.add("Gather", info, g.ints([3, 2])), layer.spec.min_size)
    return _proposed(layer, g, boxes, g.add("Mul", chances, g.cast(_are_big(g, boxes, least))))


@to_onnx.register
def _(layer: PythonProposal, g: Writer, scores: Tensor, deltas: Tensor, image: Tensor) -> Tops:
    """Small boxes go."""
    boxes, chances, info = _candidates(layer, g, scores, deltas, image)
    least = g.scaled(g.add("Gather", info, g.ints([2])), layer.spec.min_size)
    return _proposed(layer, g, boxes, g.add("Where", _are_big(g, boxes, least), chances, g.constant(-np.inf)))


def _candidates(
    layer: Layer, g: Writer, scores: Tensor, deltas: Tensor, image: Tensor
) -> tuple[str, str, str]:
    """Boxes (M, 4) cut off at the image, their scores (M,), and what is said of the image."""
    info, count = g.add("Reshape", image.name, g.ints([-1])), layer.spec.anchors.count
    moves = g.add("Reshape", g.add("Transpose", deltas.name, perm=[0, 2, 3, 1]), g.ints([-1, 4]))
    boxes = _moved(g, _anchors(g, layer.spec.anchors, scores), moves)
    last = g.shifted(g.add("Gather", info, g.ints([1, 0, 1, 0])), -1.0)
    inside = g.add("Max", g.add("Min", boxes, last), g.constant(0.0))
    of_objects = g.add("Slice", scores.name, g.ints([count]), g.ints([2 * count]), g.ints([1]))
    chances = g.add("Reshape", g.add("Transpose", of_objects, perm=[0, 2, 3, 1]), g.ints([-1]))
    return inside, chances, info


def _anchors(g: Writer, anchors: Anchors, x: Tensor) -> str:
    """(M, 4) corners in pixels, row by row."""
    height, width = x.shape[2:]
    if height is not None and width is not None:
        return g.constant(anchors.of_map(torch.zeros(()), height, width).numpy())
    base = anchors.of_map(torch.zeros(()), 1, 1).numpy()
    at = g.scaled(places(g, x), anchors.feat_stride)
    return g.add("Reshape", g.add("Add", g.add("Concat", at, at, axis=-1), g.constant(base)), g.ints([-1, 4]))


def _moved(g: Writer, boxes: str, moves: str) -> str:
    """Boxes whose middles moves shift, in sides, and whose sides they let grow; a box has one pixel more."""
    if boxes in g.arrays:
        first, last = np.split(g.arrays[boxes], 2, -1)
        sides, middle = g.constant(last - first + 1), g.constant(first + 0.5 * (last - first + 1))
    else:
        low, high = g.split(boxes, [2, 2], 1)
        sides = g.shifted(g.add("Sub", high, low), 1.0)
        middle = g.add("Add", low, g.scaled(sides, 0.5))
    shift, growth = g.split(moves, [2, 2], 1)
    centre = g.add("Add", g.add("Mul", shift, sides), middle)
    half = g.scaled(g.add("Mul", g.add("Exp", growth), sides), 0.5)
    return g.add("Concat", g.add("Sub", centre, half), g.add("Add", centre, half), axis=1)


def _are_big(g: Writer, boxes: str, least: str) -> str:
    """(M,): which are as wide and as high as ``least``."""
    first, last = g.split(boxes, [2, 2], 1)
    sides = g.shifted(g.add("Sub", last, first), 1.0)
    both = g.reduced("ReduceMin", g.cast(g.add("GreaterOrEqual", sides, least)), [1])
    return g.add("Greater", both, g.constant(0.0))


def _proposed(layer: Layer, g: Writer, boxes: str, scores: str) -> Tops:
    """Rois (R, 5), and scores: the best before suppression, and the best after it."""
    before, after = layer.limits()
    if layer.equal_goes and layer.spec.nms_thresh <= 0:
        return None
    if (count := count_of(g, before or None, Tensor(scores, (None,)), 0)) is not None:
        scores, place = g.add_all("TopK", 2, scores, count)
        boxes = g.add("Gather", boxes, place)
    limit = below(layer.spec.nms_thresh) if layer.equal_goes else layer.spec.nms_thresh
    group = g.add("Unsqueeze", g.add("Add", boxes, g.constant([0, 0, 1, 1])), g.ints([0]))
    one_class = Tensor(g.add("Unsqueeze", scores, g.ints([0, 1])), (1, 1, None))
    stays = g.split(suppressed(g, group, one_class, after or None, limit), [2, 1], 1)[1]
    place = g.add("Squeeze", stays, g.ints([1]))
    rois = g.add("Pad", g.add("Gather", boxes, place), g.ints([0, 1, 0, 0]), g.constant(0.0))
    of_rois = stays if len(layer.score_shape(1)) > 1 else place
    return [rois, *([g.add("Gather", scores, of_rois)] if layer.tops > 1 else [])]
