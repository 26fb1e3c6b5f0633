"""Layers that join, split and reshape blobs."""

from functools import reduce

import torch
from torch import Tensor

from converters.layers.registry import Layer, Shapes, canonical_axis, expect, layer
from prototxt.caffe_pb2 import EltwiseParameter, LayerParameter
from prototxt.errors import InputError


@layer("Concat")
class Concat(Layer):
    """The bottoms one after another along ``axis`` (or the older ``concat_dim``) (concat_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.concat_param
        axis = param.concat_dim if param.HasField("concat_dim") else param.axis
        self.axis = canonical_axis(message, axis, len(bottoms[0]))
        rests = {(*shape[: self.axis], *shape[self.axis + 1 :]) for shape in bottoms}
        if len(rests) != 1:
            listed = ", ".join(str(tuple(shape)) for shape in bottoms)
            raise InputError(f"bottoms differ beside axis {self.axis}: {listed}", message.name)

    def forward(self, *bottoms: Tensor) -> Tensor:
        """Equal shapes but for ``axis``, whose sizes add up."""
        return torch.cat(bottoms, self.axis)


@layer("Eltwise")
class Eltwise(Layer):
    """PROD, SUM (with one ``coeff`` per bottom) or MAX of equal shapes (eltwise_layer.cpp).

    Of two equal maxima Caffe sends the gradient to the later bottom, of more than two to the last.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.eltwise_param
        if len(set(bottoms)) != 1:
            raise InputError(f"bottoms differ in shape: {[tuple(s) for s in bottoms]}", message.name)
        if len(param.coeff) not in (0, len(bottoms)):
            raise InputError(f"{len(param.coeff)} coeff for {len(bottoms)} bottoms", message.name)
        self.operation = param.operation
        self.coefficients = list(param.coeff) or [1.0] * len(bottoms)

    def forward(self, *bottoms: Tensor) -> Tensor:
        """Bottoms of one shape to that shape."""
        if self.operation == EltwiseParameter.PROD:
            return reduce(torch.mul, bottoms)
        if self.operation == EltwiseParameter.MAX:
            return reduce(lambda a, b: torch.where(a > b, a, b), bottoms)
        return reduce(
            torch.add, (x if c == 1 else x * c for x, c in zip(bottoms, self.coefficients, strict=True))
        )


@layer("Flatten")
class Flatten(Layer):
    """The axes from ``axis`` to ``end_axis`` made one (flatten_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 1)
        param = message.flatten_param
        self.start = canonical_axis(message, param.axis, len(bottoms[0]))
        self.end = canonical_axis(message, param.end_axis, len(bottoms[0]))

    def forward(self, x: Tensor) -> Tensor:
        """(a, b, c, …) to (a, b·c·…) by default."""
        return x.flatten(self.start, self.end)


@layer("Split")
class Split(Layer):
    """The bottom on every top (split_layer.cpp); gradients add up."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 1)
        self.count = len(message.top)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One shape to ``len(top)`` times that shape."""
        return (x,) * self.count
