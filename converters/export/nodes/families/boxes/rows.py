"""Rows of boxes in graphs: the best of each group, what suppression leaves, what stands where none is."""

from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from converters.export.nodes.writer import Tensor, Writer

LEAST = float(np.finfo(np.float32).min)


class Rows(NamedTuple):
    """What suppression leaves: (R, 3) of group, class and place, the scores (R,) behind them."""

    at: str
    scores: str


def count_of(g: Writer, most: int | None, tensor: Tensor, axis: int) -> str | None:
    """The smaller of ``most`` and an axis' size, [1]; None where that is all of it."""
    size = tensor.shape[axis]
    if most is None or (size is not None and size <= most):
        return None
    return g.ints([most]) if size is not None else g.add("Min", g.side(tensor, axis), g.ints([most]))


def best(g: Writer, scores: Tensor, most: int | None) -> str:
    """Scores without those that are not among the ``most`` greatest along the last axis, of equal ones the
    first: -inf in their places.
    """
    axis = len(scores.shape) - 1
    count = count_of(g, most, scores, axis)
    if count is None:
        return scores.name
    greatest, place = g.add_all("TopK", 2, scores.name, count, axis=axis)
    nothing = _nothing(g, scores)
    return g.add("ScatterElements", nothing, place, greatest, axis=axis)


def _nothing(g: Writer, scores: Tensor) -> str:
    """As many scores of -inf."""
    return g.once("Expand", g.constant(-np.inf), g.once("Shape", scores.name))


def uncrossed(g: Writer, boxes: str) -> str:
    """Corners (…, 4) of which crossed ones, that meet no box in Caffe, have no size: NonMaxSuppression would
    turn them round.
    """
    first, last = g.split(boxes, [2, 2], -1)
    return g.add("Concat", first, g.add("Max", first, last), axis=-1)


def below(overlap: float) -> float:
    """The next smaller number of float32, for rules by which a box goes, too, that overlaps just so much."""
    return float(np.nextafter(np.float32(overlap), np.float32(-1)))


def suppressed(
    g: Writer, boxes: str, scores: Tensor, most: int | None, overlap: float, above: float = LEAST
) -> str:
    """NonMaxSuppression of boxes (G, P, 4) by scores (G, C, P), group by group, class by class, the best
    first: of each class at most ``most`` whose score is greater than ``above``, without those that overlap a
    better one by more than ``overlap``. Gives (R, 3) of group, class and place.
    """
    all_ = g.side(scores, 2) if most is None else g.ints([most])
    numbers = [g.constant([min(overlap, 1.0)]), g.constant([above])]
    return g.add("NonMaxSuppression", boxes, scores.name, all_, *numbers)


def best_of_groups(
    g: Writer, rows: str, scores: Tensor, groups: str, each: int | None, most: int | None
) -> str:
    """Of rows of ``scores`` the ``most`` of each of [groups] whose scores are greatest, of equal ones the
    first by class and place; they stay in their order. A group has ``each`` scores, None of any number.
    """
    if most is None or (each is not None and each <= most):
        return rows
    nothing = _nothing(g, scores)
    dense = g.add("ScatterND", nothing, rows, g.add("GatherND", scores.name, rows))
    flat = g.add("Reshape", dense, g.add("Concat", groups, g.ints([-1]), axis=0))
    stays = best(g, Tensor(flat, (None, each)), most)
    back = g.add("Reshape", stays, g.once("Shape", scores.name))
    is_one = g.add("Greater", g.add("GatherND", back, rows), g.constant(LEAST))
    return g.add("Compress", rows, is_one, axis=0)


def with_one_more(g: Writer, rows: str, scores: Tensor) -> Rows:
    """The rows with one behind them that is none, so that no reader meets a tensor without elements."""
    at = g.add("Concat", rows, g.ints([[0, 0, 0]]), axis=0)
    return Rows(at, g.add("GatherND", scores.name, at))


def or_nothing(g: Writer, rows: str, images: str) -> str:
    """Of a detector's rows (R + 1, 7) all but the last as (1, 1, R, 7); where there is none, of each of
    [images] its number, and -1.
    """
    every = g.add("Slice", g.add("Shape", rows), g.ints([0]), g.ints([1]))
    count = g.add("Sub", every, g.ints([1]))
    is_none = g.cast(g.add("Equal", count, g.ints([0])), TensorProto.INT64)
    numbers = g.add("Squeeze", images, g.ints([0])) if images not in g.arrays else g.ints(g.arrays[images][0])
    image = g.cast(g.add("Range", g.ints(0), numbers, g.ints(1)))
    nothing = g.add("Pad", g.add("Unsqueeze", image, g.ints([1])), g.ints([0, 0, 0, 6]), g.constant(-1.0))
    last = g.add("Add", count, g.add("Mul", is_none, g.add("Add", images, g.ints([1]))))
    chosen = g.add("Slice", g.add("Concat", rows, nothing, axis=0), is_none, last, g.ints([0]))
    return g.add("Unsqueeze", chosen, g.ints([0, 1]))
