"""Detectors' rows beside a file's: which boxes stay may hang on a last digit."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from converters.build import as_tuple
from converters.layers import Layer

Array = NDArray[np.float32]
_THRESHOLDS = ("nms_threshold", "nms_thresh", "confidence_threshold")  # by which boxes stay or go
_NUDGE = 1e-5  # of a threshold: a hundred times what rounding moves an overlap by
_NEAR = 1e-5  # of the rows' scale


def rows_nearest(layer: Layer, bottoms: Sequence[Tensor], top: int, theirs: Array) -> Array | None:
    """Of the rows that the layer makes under thresholds a little lower and higher those nearest to
    ``theirs``, in the shape of these; None where there is none near one of theirs, or where theirs lack one
    that stays under each of the thresholds. So a box may go or stay whose overlap is the threshold but for
    rounding.
    """
    axis = layer.record.rows
    if axis is None or theirs.ndim <= axis:
        return None
    trials = [_flat(as_tuple(tops)[top].numpy(), axis) for tops in _under_thresholds(layer, bottoms)]
    own, every = _flat(theirs, axis), np.unique(np.concatenate(trials), axis=0)
    if not len(own) or own.shape[1] != every.shape[1]:
        return None
    scale = _NEAR * max(1e-3, float(np.abs(every).max(initial=0)))
    certain = [row for row in trials[0] if all(_is_in(row, rows, scale) for rows in trials)]
    if not all(_is_in(row, every, scale) for row in own) or not all(_is_in(r, own, scale) for r in certain):
        return None
    near = [int(_distance(row, every).argmin()) for row in own]
    return np.moveaxis(every[near].reshape(np.moveaxis(theirs, axis, 0).shape), 0, axis)


def _flat(rows: Array, axis: int) -> Array:
    """(R, values)."""
    return np.moveaxis(rows, axis, 0).reshape(rows.shape[axis], -1)


def _distance(row: Array, rows: Array) -> Array:
    largest: Array = np.abs(rows - row).max(1, initial=0)
    return largest


def _is_in(row: Array, rows: Array, scale: float) -> bool:
    return bool(_distance(row, rows).min(initial=np.inf) <= scale)


def _under_thresholds(layer: Layer, bottoms: Sequence[Tensor]) -> Iterator[Tensor | tuple[Tensor, ...]]:
    """The tops as they are, then under thresholds that are lower or higher."""
    spec = layer.spec
    names = [name for name in _THRESHOLDS if hasattr(spec, name)]
    yield layer(*bottoms)
    try:
        for factors in product((1 - _NUDGE, 1 + _NUDGE), repeat=len(names)):
            nudged = {name: getattr(spec, name) * factor for name, factor in zip(names, factors, strict=True)}
            layer.spec = replace(spec, **{name: max(x, -3.4e38) for name, x in nudged.items()})
            yield layer(*bottoms)
    finally:
        layer.spec = spec
