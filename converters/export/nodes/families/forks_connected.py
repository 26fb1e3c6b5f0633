"""Layers of forks that compare features with a vector a class."""

import torch
from onnx import TensorProto

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Tensor, Writer
from converters.layers.forks.connected.margin import NEAR, LargeMarginInnerProduct


@to_onnx.register
def _(layer: LargeMarginInnerProduct, g: Writer, x: Tensor, label: Tensor) -> Tops:
    """Lambda is that of the first pass, since a file counts none; where there is no margin nothing reads the
    labels. Items of several axes are made one.
    """
    axis, shape = layer.spec.axis, g.tops[0]
    if shape.count(None) > 1:
        return None
    share = layer.share(torch.tensor(float(layer.first))).item()
    features = g.flatten(x, 1) if axis == 1 else g.reshape(x, [-1, layer.weight.shape[1]])
    scores = _scores(layer, g, features, label, share)
    if axis != 1:
        scores = g.add("Reshape", scores, g.ints([-1 if side is None else side for side in shape]))
    return [scores, g.constant([share])]


def _scores(layer: LargeMarginInnerProduct, g: Writer, features: str, label: Tensor, share: float) -> str:
    """(items, classes) of (items, width)."""
    spec, weight = layer.spec, g.weight(layer, "weight")
    plain = g.add("Gemm", features, weight, transB=1)
    if spec.type == "SINGLE":
        return plain
    target = g.add("Reshape", g.cast(label.name, TensorProto.INT64), g.ints([-1]))
    own = g.add("Gather", weight, target, axis=0)
    product = g.reduced("ReduceSum", g.add("Mul", features, own), [1], keepdims=True)
    lengths = [g.reduced("ReduceL2", vector, [1], keepdims=True) for vector in (features, own)]
    size = g.add("Mul", *lengths)
    cosine = g.add("Div", product, g.shifted(size, NEAR))
    beyond = g.add("Sub", g.add("Mul", size, _PSI[spec.type](g, cosine)), product)
    classes = g.ints([list(range(spec.num_output))])
    is_own = g.cast(g.add("Equal", g.add("Unsqueeze", target, g.ints([1])), classes))
    return g.add("Add", plain, g.add("Mul", is_own, g.scaled(beyond, 1 / (1 + share))))


def _double(g: Writer, c: str) -> str:
    """psi of a cosine, as converters.layers.forks.connected.margin has it, and so the next two."""
    return g.shifted(g.scaled(g.add("Mul", g.add("Sign", c), g.add("Mul", c, c)), 2.0), -1.0)


def _triple(g: Writer, c: str) -> str:
    square = g.add("Mul", c, c)
    first = g.add("Sign", g.shifted(g.add("Abs", c), -0.5))
    cubic = g.add("Mul", c, g.shifted(g.scaled(square, 4.0), -3.0))
    second = g.shifted(g.add("Mul", g.add("Sign", c), g.shifted(first, 1.0)), -2.0)
    return g.add("Add", g.add("Mul", first, cubic), second)


def _quadruple(g: Writer, c: str) -> str:
    square, sign = g.add("Mul", c, c), g.add("Sign", c)
    third = g.add("Mul", sign, g.add("Sign", g.shifted(g.scaled(square, 2.0), -1.0)))
    fourth = g.shifted(g.add("Add", g.scaled(sign, 2.0), third), -3.0)
    quartic = g.shifted(g.scaled(g.add("Mul", square, g.shifted(square, -1.0)), 8.0), 1.0)
    return g.add("Add", g.add("Mul", third, quartic), fourth)


_PSI = {"DOUBLE": _double, "TRIPLE": _triple, "QUADRUPLE": _quadruple}
