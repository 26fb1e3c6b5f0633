"""Factors and shifts a channel, put into the weights of what comes before."""

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from converters.export.nodes.writer import Tensor, Writer

Array = NDArray[Any]


def fold(g: Writer, x: Tensor, factor: Array, shift: Array) -> bool:
    """Have the node that makes ``x`` make x·factor + shift, one number a channel (axis 1), where it is a
    linear one and nobody else reads ``x``; whether it does.
    """
    if g.readers.get(x.name) != 1:
        return False
    node = next((node for node in reversed(g.nodes) if x.name in node.output), None)
    if node is None or node.op_type not in _FOLDING or not _reads_constants(g, node):
        return False
    bias = g.arrays[node.input[2]] if len(node.input) > 2 else np.zeros(len(factor))
    _scale(g, node, factor)
    _put(g, node, 2, (bias.astype(np.float64) * factor + shift).astype(np.float32))
    return True


def affine(g: Writer, x: Tensor, factor: Array, shift: Array) -> str:
    """x·factor + shift a channel, in the weights of what makes ``x`` or as a BatchNormalization."""
    if np.isfinite(factor).all() and fold(g, x, factor, shift):
        return x.name
    pairs = (factor, "scale"), (shift, "shift")
    ends = [g.hold(each.astype(np.float32), f"{g.layer}.{name}") for each, name in pairs]
    still = [g.constant(np.full(len(factor), value)) for value in (0.0, 1.0)]
    return g.add("BatchNormalization", x.name, *ends, *still, epsilon=0.0)


def numbers(blob: torch.Tensor) -> NDArray[np.float64]:
    """A blob's, one a channel, as factors and shifts are worked out."""
    return blob.detach().double().numpy().reshape(-1)


def _reads_constants(g: Writer, node: onnx.NodeProto) -> bool:
    return all(name in g.arrays for name in node.input[1:])


FOLDED = ".folded"  # no weight of the net has these values any more


def _scale(g: Writer, node: onnx.NodeProto, factor: Array) -> None:
    """The node's weight, of which nothing is computed before all its factors are known."""
    had = node.input[1]
    weight, before = g.arrays[had], g.factors.get(had, 1.0)
    _put(g, node, 1, weight)
    g.factors[node.input[1]] = _FOLDING[node.op_type](weight, factor, node) * before


def _put(g: Writer, node: onnx.NodeProto, place: int, array: Array) -> None:
    """Give the node the array as its input 1 or 2, under the name of what it had there."""
    has = len(node.input) > place
    had = g.names[node.input[place]] if has else g.names[node.input[1]].replace(".weight", ".bias")
    made = g.hold(array, had.removesuffix(FOLDED) + FOLDED)
    node.input[:] = [*node.input[:place], made, *node.input[place + 1 :]]


def _rows(weight: Array, factor: Array, node: onnx.NodeProto) -> Array:
    """The factors as they spread over a weight of Conv (out, in, …) and Gemm, (out, in) with transB and else
    (in, out).
    """
    if node.op_type == "Gemm" and not _attribute(node, "transB", 0):
        return factor
    return factor.reshape(-1, *(1,) * (weight.ndim - 1))


def _columns(weight: Array, factor: Array, node: onnx.NodeProto) -> Array:
    """Of ConvTranspose, (in, out / group, …), the outputs of one group after another."""
    groups = _attribute(node, "group", 1)
    spread = factor.reshape(groups, -1).repeat(len(weight) // groups, axis=0)
    return spread.reshape(*spread.shape, *(1,) * (weight.ndim - 2))


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((item.i for item in node.attribute if item.name == name), default)


_FOLDING = {"Conv": _rows, "Gemm": _rows, "ConvTranspose": _columns, "BatchNormalization": _rows}
