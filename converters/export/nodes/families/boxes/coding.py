"""Locations coded by priors as boxes of corners, as SSD's line has them
(converters/layers/parts/boxes/priors.py); what priors alone decide is worked out here where they are numbers.
"""

from typing import NamedTuple

import numpy as np

from converters.export.nodes.writer import Tensor, Writer
from converters.layers.forks.ssd.predictions import PredictionsSpec


class Priors(NamedTuple):
    """Tensors: boxes (…, P, 4) of corners, and the variances, (…, P, 4) or, of all alike, (4,)."""

    boxes: str
    variance: str


def priors_of(g: Writer, blob: Tensor) -> Priors:
    """A PriorBox layer's top (1, 2, 4P) taken apart."""
    if blob.name not in g.arrays:
        rows = g.add("Reshape", blob.name, g.ints([2, -1, 4]))
        return Priors(*g.split(rows, [1, 1], 0))
    boxes, variance = g.arrays[blob.name].reshape(2, -1, 4)
    is_one = len(variance) > 0 and (variance == variance[0]).all()
    return Priors(g.constant(boxes), g.constant(variance[0] if is_one else variance))


def decoded(g: Writer, location: str, priors: Priors, spec: PredictionsSpec) -> str:
    """Locations (…, P, 4) as boxes of corners (…, P, 4)."""
    steps = location if spec.in_target else g.add("Mul", location, priors.variance)
    if spec.code_type == "CORNER":
        return g.add("Add", priors.boxes, steps)
    middles, sides = _middles_and_sides(g, priors.boxes)
    if spec.code_type == "CORNER_SIZE":
        return g.add("Add", priors.boxes, g.add("Mul", steps, _twice(g, sides)))
    moves, growth = g.split(steps, [2, 2], -1)
    centre = g.add("Add", g.add("Mul", moves, sides), middles)
    half = g.add("Mul", g.add("Exp", growth), _half(g, sides))
    return g.add("Concat", g.add("Sub", centre, half), g.add("Add", centre, half), axis=-1)


def _middles_and_sides(g: Writer, boxes: str) -> tuple[str, str]:
    if boxes in g.arrays:
        first, last = np.split(g.arrays[boxes], 2, -1)
        return g.constant((first + last) / 2), g.constant(last - first)
    first_, last_ = g.split(boxes, [2, 2], -1)
    return g.scaled(g.add("Add", first_, last_), 0.5), g.add("Sub", last_, first_)


def _half(g: Writer, sides: str) -> str:
    return g.constant(g.arrays[sides] / 2) if sides in g.arrays else g.scaled(sides, 0.5)


def _twice(g: Writer, sides: str) -> str:
    if sides in g.arrays:
        return g.constant(np.concatenate([g.arrays[sides]] * 2, -1))
    return g.add("Concat", sides, sides, axis=-1)
