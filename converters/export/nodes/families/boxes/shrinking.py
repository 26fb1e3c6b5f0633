"""Suppression under a threshold that shrinks with each box that stays, which NonMaxSuppression has not: box
by box, the best first, of all groups and classes at once.
"""

from typing import NamedTuple

from onnx import TensorProto

from converters.export.nodes.families.boxes.rows import count_of
from converters.export.nodes.writer import Tensor, Writer
from converters.layers.forks.ssd.detection_output import DetectionOutputSpec

_LEAST = 0.5  # a threshold that is not above it stays


class _Boxes(NamedTuple):
    """Of M candidates of every class of every group the corners (G, C, M, 2) and areas (G, C, M)."""

    low: str
    high: str
    area: str


def shrinking(g: Writer, boxes: str, scores: Tensor, spec: DetectionOutputSpec) -> str:
    """What of boxes (G, P, 4) stays by scores (G, C, P): (R, 3) of group, class and place, group by group,
    class by class, the best first.
    """
    count = count_of(g, spec.top_k, scores, 2) or g.side(scores, 2)
    values, places = g.add_all("TopK", 2, scores.name, count, axis=2)
    best = g.add("GatherND", boxes, g.add("Reshape", places, g.ints([0, -1, 1])), batch_dims=1)
    lines = g.add("Reshape", best, g.ints([0, scores.shape[1] or 1, -1, 4]))
    alive = g.cast(g.add("Greater", values, g.constant(spec.confidence_threshold)))
    stays = _stays(g, lines, alive, count, spec)
    at = g.add("Transpose", g.add("NonZero", stays), perm=[1, 0])
    whose, _ = g.split(at, [2, 1], 1)
    return g.add("Concat", whose, g.add("Unsqueeze", g.add("GatherND", places, at), g.ints([1])), axis=1)


def _stays(g: Writer, lines: str, alive: str, count: str, spec: DetectionOutputSpec) -> str:
    """Which of the candidates (G, C, M, 4) stay, of those ``alive`` (G, C, M): 1 or 0, (G, C, M)."""
    low, high = g.split(lines, [2, 2], 3)
    sides = g.add("Max", g.add("Sub", high, low), g.constant(0.0))
    every = _Boxes(low, high, g.reduced("ReduceProd", sides, [3]))
    worst = g.scaled(alive, 0.0)
    threshold = g.shifted(g.reduced("ReduceMax", worst, [2], keepdims=True), spec.nms_threshold)
    numbers = g.add("Range", g.constant(0.0), g.cast(g.add("Squeeze", count, g.ints([0]))), g.constant(1.0))
    by_turns = [
        g.add("Transpose", lines, perm=[2, 0, 1, 3]),
        g.add("Transpose", alive, perm=[2, 0, 1]),
        numbers,
    ]

    def step(line: str, is_alive: str, number: str, worst: str, threshold: str) -> list[str]:
        at = g.cast(number, TensorProto.INT64)
        met = g.add("Unsqueeze", g.add("Gather", worst, at, axis=2), g.ints([2]))
        here = g.add("Greater", g.add("Unsqueeze", is_alive, g.ints([2])), g.constant(0.5))
        fits = g.add("And", here, g.add("LessOrEqual", met, threshold))
        more = g.add("Max", worst, _overlaps(g, line, at, every))
        shrinks = g.add("And", fits, g.add("Greater", threshold, g.constant(_LEAST)))
        return [
            g.add("Where", fits, more, worst),
            g.add("Where", shrinks, g.scaled(threshold, spec.eta), threshold),
            g.cast(g.add("Squeeze", fits, g.ints([2]))),
        ]

    axes = [3, 2, 0, 3, 3, 2]
    return g.add("Transpose", g.scan(step, by_turns, [worst, threshold], axes)[2], perm=[1, 2, 0])


def _overlaps(g: Writer, line: str, at: str, every: _Boxes) -> str:
    """Intersection over union of the boxes ``line`` (G, C, 4), the candidate ``at``, with every one of their
    class: (G, C, M).
    """
    low, high = (g.add("Unsqueeze", part, g.ints([2])) for part in g.split(line, [2, 2], 2))
    sides = g.add("Sub", g.add("Min", every.high, high), g.add("Max", every.low, low))
    shared = g.reduced("ReduceProd", g.add("Max", sides, g.constant(0.0)), [3])
    own = g.add("Unsqueeze", g.add("Gather", every.area, at, axis=2), g.ints([2]))
    union = g.add("Sub", g.add("Add", every.area, own), shared)
    meet = g.add("Greater", shared, g.constant(0.0))
    return g.add("Where", meet, g.add("Div", shared, union), g.constant(0.0))
