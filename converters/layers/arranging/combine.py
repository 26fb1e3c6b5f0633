"""Layers that join blobs and take them apart."""

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, is_in_place
from converters.layers.parts.eltwise_in_place import eltwise_in_place, eltwise_notice
from converters.layers.parts.gradient import asks_gradient
from converters.layers.parts.grid import same_grid
from converters.layers.registry import ONE_OR_MORE, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import ConcatParameter, EltwiseParameter, LayerParameter, SliceParameter
from prototxt.errors import InputError


def _axis(message: LayerParameter, param: ConcatParameter | SliceParameter, legacy: str, dims: int) -> int:
    """``axis``, or the older field ``legacy``, which counts from the front only."""
    if not param.HasField(legacy):
        return canonical_axis(message, param.axis, dims)
    if param.HasField("axis"):
        raise InputError(f"takes axis or {legacy}, not both", message.name)
    return canonical_axis(message, getattr(param, legacy), dims)


@dataclass(frozen=True)
class ConcatSpec(Spec):
    """Of Concat."""

    axis: int = 1


@layer("Concat", source="concat_layer.cpp", bottoms=ONE_OR_MORE, macs=free, routes=True, grid=same_grid)
class Concat(Layer):
    """The bottoms one after another along ``axis`` (or the older ``concat_dim``) (concat_layer.cpp)."""

    spec: ConcatSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        axis = _axis(message, message.concat_param, "concat_dim", len(bottoms[0]))
        self.spec = ConcatSpec(axis)
        rests = {(*shape[:axis], *shape[axis + 1 :]) for shape in bottoms}
        if len(rests) != 1 or len({len(shape) for shape in bottoms}) != 1:
            listed = ", ".join(str(tuple(shape)) for shape in bottoms)
            raise InputError(f"bottoms differ beside axis {axis}: {listed}", message.name)

    def forward(self, *bottoms: Tensor) -> Tensor:
        """Equal shapes but for ``axis``, whose sizes add up."""
        return torch.cat(bottoms, self.spec.axis)


@dataclass(frozen=True)
class SliceSpec(Spec):
    """Of Slice."""

    axis: int = 1
    slice_point: tuple[int, ...] = ()


@layer("Slice", source="slice_layer.cpp", tops=ONE_OR_MORE, macs=free, routes=True)
class Slice(Layer):
    """The bottom cut along ``axis`` (or the older ``slice_dim``) at ``slice_point``, else into equal parts
    (slice_layer.cpp).
    """

    spec: SliceSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        axis = _axis(message, message.slice_param, "slice_dim", len(bottoms[0]))
        self.spec = SliceSpec(axis, tuple(message.slice_param.slice_point))
        self.tops, points = len(message.top), list(self.spec.slice_point)
        size = bottoms[0][axis]
        if points and len(points) != self.tops - 1:
            raise InputError(f"{len(points)} slice_point for {self.tops} tops", message.name)
        if points and min(self._sizes(size)) < 1:
            raise InputError(f"slice_point {points} must rise from 1 to below {size}", message.name)
        if not points and size % self.tops:
            raise InputError(f"{size} cannot be cut into {self.tops} equal parts", message.name)

    def _sizes(self, size: int) -> list[int]:
        if not self.spec.slice_point:
            return [size // self.tops] * self.tops
        return [end - start for start, end in pairwise([0, *self.spec.slice_point, size])]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One part per top."""
        if self.tops == 1:
            return (x,)
        return torch.split(x, self._sizes(x.shape[self.spec.axis]), self.spec.axis)


@dataclass(frozen=True)
class EltwiseSpec(Spec):
    """Of Eltwise; ``coeff`` one a bottom."""

    operation: str = "SUM"
    coeff: tuple[float, ...] = ()
    stable_prod_grad: bool = True


@layer("Eltwise", source="eltwise_layer.cpp", bottoms=(2, None), macs=free, grid=same_grid)
class Eltwise(Layer):
    """PROD, SUM (with one ``coeff`` per bottom) or MAX of equal shapes (eltwise_layer.cpp).

    Where the first two bottoms are equal and greatest, MAX sends the gradient to the second; a later
    bottom has to be greater to take it. ``stable_prod_grad: false`` divides the product by each bottom
    instead of multiplying the others, which is not a number where the bottom is 0. In place it is as
    converters/layers/parts/eltwise_in_place.py says.
    """

    spec: EltwiseSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.eltwise_param
        if len(set(bottoms)) != 1:
            raise InputError(f"bottoms differ in shape: {[tuple(s) for s in bottoms]}", message.name)
        if len(param.coeff) not in (0, len(bottoms)):
            raise InputError(f"{len(param.coeff)} coeff for {len(bottoms)} bottoms", message.name)
        if param.coeff and param.operation == EltwiseParameter.PROD:
            raise InputError("coeff goes with SUM, not PROD", message.name)
        operation = EltwiseParameter.EltwiseOp.Name(param.operation)
        self.spec = EltwiseSpec(operation, tuple(param.coeff), param.stable_prod_grad)
        self.coefficients = list(param.coeff) or [1.0] * len(bottoms)
        self.in_place = is_in_place(message)

    def notice(self) -> str | None:
        """Of one in place: of PROD the gradients alone differ."""
        differs = self.in_place and (self.training or self.spec.operation != "PROD")
        return eltwise_notice(self.spec.operation) if differs else None

    def forward(self, *bottoms: Tensor) -> Tensor:
        """Bottoms of one shape to that shape."""
        operation, is_stable = self.spec.operation, self.spec.stable_prod_grad
        if self.in_place:
            return eltwise_in_place(bottoms, operation, self.coefficients, is_stable)
        if operation == "PROD":
            return reduce(torch.mul, bottoms) if is_stable else _divided_product(bottoms)
        if operation == "MAX":
            first = torch.where(bottoms[0] > bottoms[1], bottoms[0], bottoms[1])
            return reduce(lambda most, x: torch.where(x > most, x, most), bottoms[2:], first)
        return reduce(
            torch.add, (x if c == 1 else x * c for x, c in zip(bottoms, self.coefficients, strict=True))
        )


class _DividedProduct(torch.autograd.Function):
    """The product, whose gradient to each bottom is the product over that bottom."""

    @staticmethod
    def forward(ctx: Any, *bottoms: Tensor) -> Tensor:
        product = reduce(torch.mul, bottoms)
        ctx.save_for_backward(product, *bottoms)
        return product

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, ...]:
        product, *bottoms = ctx.saved_tensors
        return tuple(grads[0] * (product / x) for x in bottoms)


def _divided_product(bottoms: tuple[Tensor, ...]) -> Tensor:
    if not asks_gradient(*bottoms):
        return reduce(torch.mul, bottoms)
    product: Tensor = _DividedProduct.apply(*bottoms)  # type: ignore[no-untyped-call]
    return product


@layer("Split", source="split_layer.cpp", tops=ONE_OR_MORE, macs=free, routes=True, grid=same_grid)
class Split(Layer):
    """The bottom on every top (split_layer.cpp); gradients add up."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.count = len(message.top)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One shape to ``len(top)`` times that shape."""
        return (x,) * self.count


@layer("Silence", source="silence_layer.cpp", bottoms=ONE_OR_MORE, tops=(0, 0), macs=free)
class Silence(Layer):
    """Reads its bottoms, so that they are no outputs of the net; their gradient is 0 (silence_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()

    def forward(self, *bottoms: Tensor) -> tuple[()]:
        """No top."""
        return ()
