"""Places of a map, as numbers where its size is known."""

import numpy as np
from onnx import TensorProto

from converters.export.nodes.writer import Tensor, Writer


def side(g: Writer, x: Tensor, axis: int) -> str:
    """The size of an axis, [1], no whole number."""
    size = x.shape[axis]
    return g.once("Cast", g.side(x, axis), to=TensorProto.FLOAT) if size is None else g.constant([size])


def joined(g: Writer, parts: list[str]) -> str:
    """[1] each as one tensor."""
    if all(part in g.arrays for part in parts):
        return g.constant(np.concatenate([g.arrays[part] for part in parts]))
    return g.once("Concat", *parts, axis=0)


def counted(g: Writer, x: Tensor, axis: int) -> str:
    """0, 1, … along an axis, no whole numbers."""
    size = x.shape[axis]
    if size is not None:
        return g.constant(np.arange(size))
    count = g.once("Squeeze", side(g, x, axis), g.ints([0]))
    return g.once("Range", g.constant(0.0), count, g.constant(1.0))


def places(g: Writer, x: Tensor) -> str:
    """Column and row of each place of a map (N, C, H, W): (H, W, 1, 2)."""
    if None not in x.shape[2:]:
        rows, columns = np.indices([n or 0 for n in x.shape[2:]])
        return g.constant(np.stack([columns, rows], -1)[:, :, None])
    across = g.add("Unsqueeze", counted(g, x, 3), g.ints([1, 2]))
    down = g.add("Unsqueeze", counted(g, x, 2), g.ints([1, 2, 3]))
    return g.add("Add", g.add("Mul", across, g.constant([1, 0])), g.add("Mul", down, g.constant([0, 1])))
