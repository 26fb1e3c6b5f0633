"""PriorBox of SSD: numbers where the sizes are known, else nodes that work them out."""

import numpy as np
import torch

from converters.export.nodes.families.boxes.grid import counted, joined, side
from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Shape, Tensor, Writer
from converters.layers.forks.ssd.prior_box import PriorBox

_WIDTH, _HEIGHT = [1.0, 0, 1, 0], [0.0, 1, 0, 1]  # which of xmin, ymin, xmax, ymax lie along it


@to_onnx.register
def _(layer: PriorBox, g: Writer, features: Tensor, image: Tensor) -> Tops:
    sizes = features.shape[2:], (1, 1) if all(layer.spec.image) else image.shape[2:]
    if None in (*sizes[0], *sizes[1]):
        return [_worked_out(layer, g, features, image)]
    with torch.no_grad():
        boxes = layer(*(_of_size(size) for size in sizes))
    return [g.hold(boxes.numpy(), f"{g.layer}.boxes")]


def _of_size(size: Shape) -> torch.Tensor:
    return torch.zeros(()).expand(1, 1, *(side or 0 for side in size))


def _worked_out(layer: PriorBox, g: Writer, features: Tensor, image: Tensor) -> str:
    """Boxes (height, width, boxes of a place, 4), the variances of each behind them, as (1, 2, all)."""
    spec = layer.spec
    sides = [g.constant([n]) if n else side(g, image, axis) for axis, n in _axes(spec.image)]
    centres = [_centres(layer, g, features, axis, sides[at]) for at, (axis, _) in enumerate(_axes(spec.step))]
    across = g.add("Mul", g.add("Unsqueeze", centres[0], g.ints([1, 2])), g.constant(_WIDTH))
    down = g.add("Mul", g.add("Unsqueeze", centres[1], g.ints([1, 2, 3])), g.constant(_HEIGHT))
    half = np.asarray(spec.sizes) / 2
    edges = g.add("Add", g.add("Add", across, down), g.constant(np.concatenate([-half, half], 1)))
    boxes = g.add("Div", edges, joined(g, [*sides, *sides]))
    if spec.clip:
        boxes = g.add("Clip", boxes, g.constant(0.0), g.constant(1.0))
    variances = g.constant(spec.variance * (4 // len(spec.variance)))
    behind = g.add("Expand", variances, g.add("Shape", boxes))
    rows = [g.add("Unsqueeze", part, g.ints([0])) for part in (boxes, behind)]
    return g.add("Reshape", g.add("Concat", *rows, axis=0), g.ints([1, 2, -1]))


def _axes(pair: tuple[float, float]) -> list[tuple[int, float]]:
    """Of what a spec has of width and height, each with its axis."""
    return [(3, pair[0]), (2, pair[1])]


def _centres(layer: PriorBox, g: Writer, features: Tensor, axis: int, pixels: str) -> str:
    """Where the middles of places lie along an axis, in pixels: [places]."""
    at = counted(g, features, axis)
    step = layer.spec.step[3 - axis]
    steps = g.constant(step) if all(layer.spec.step) else g.add("Div", pixels, side(g, features, axis))
    return g.add("Mul", g.shifted(at, layer.spec.offset), steps)
