"""Layers that leave a few numbers of many: sums and greatest values."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, not_in_place, positive
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter, ReductionParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class ReductionSpec(Spec):
    """Of Reduction."""

    operation: str = "SUM"
    axis: int = 0
    coeff: float = 1.0


@layer("Reduction", source="reduction_layer.cpp", macs=free)
class Reduction(Layer):
    """``coeff`` times the SUM, sum of absolute values (ASUM), of squares (SUMSQ) or MEAN over all axes
    from ``axis`` on (reduction_layer.cpp). The gradient of ASUM at 0 is 0.
    """

    spec: ReductionSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)
        param = message.reduction_param
        axis = canonical_axis(message, param.axis, len(bottoms[0]))
        operation = ReductionParameter.ReductionOp.Name(param.operation)
        self.spec = ReductionSpec(operation, axis, param.coeff)

    def forward(self, x: Tensor) -> Tensor:
        """(a, b, …) to the axes before ``axis``."""
        rows = x.flatten(self.spec.axis)
        total = _OPERATIONS[self.spec.operation](rows)
        return total if self.spec.coeff == 1 else total * self.spec.coeff


_OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "SUM": lambda rows: rows.sum(-1),
    "ASUM": lambda rows: rows.abs().sum(-1),
    "SUMSQ": lambda rows: (rows * rows).sum(-1),
    "MEAN": lambda rows: rows.mean(-1),
}


@dataclass(frozen=True)
class ArgMaxSpec(Spec):
    """Of ArgMax; without ``axis`` of each whole sample."""

    top_k: int = 1
    out_max_val: bool = False
    axis: int | None = None


@layer("ArgMax", source="argmax_layer.cpp", macs=free)
class ArgMax(Layer):
    """The indices of the ``top_k`` greatest values, along ``axis`` or of each whole sample; with
    ``out_max_val`` the values instead, without an axis the values beside the indices
    (argmax_layer.cpp). Of equal values the later index comes first. No gradient.
    """

    spec: ArgMaxSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param, shape = message.argmax_param, bottoms[0]
        positive(message, top_k=param.top_k)
        if not len(shape):
            raise InputError("takes a blob of 1 axis or more", message.name)
        axis = canonical_axis(message, param.axis, len(shape)) if param.HasField("axis") else None
        count = math.prod(shape[1:]) if axis is None else shape[axis]
        if param.top_k > count:
            raise InputError(f"top_k {param.top_k} is more than the {count} values", message.name)
        self.spec = ArgMaxSpec(param.top_k, param.out_max_val, axis)

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) to (N, 1 or 2, k, 1…) of at least 3 axes; with ``axis``, k in its place."""
        if self.spec.axis is not None:
            values, indices = _greatest(x.detach(), self.spec.axis, self.spec.top_k)
            return values if self.spec.out_max_val else indices
        values, indices = _greatest(x.detach().reshape(x.shape[0], -1), 1, self.spec.top_k)
        top = torch.stack([indices, values], 1) if self.spec.out_max_val else indices.unsqueeze(1)
        return top.reshape(*top.shape, *(1,) * (x.dim() - 3))


def _greatest(x: Tensor, axis: int, k: int) -> tuple[Tensor, Tensor]:
    """(values, indices as x's dtype) of the k greatest along ``axis``, equal ones from the last on."""
    flipped = x.flip(axis)
    if k == 1:
        places = flipped.argmax(axis, keepdim=True)
    elif torch.compiler.is_exporting():  # ONNX has no stable sort, but its TopK takes the first of equals
        places = flipped.topk(k, axis).indices
    else:
        places = flipped.argsort(dim=axis, descending=True, stable=True).narrow(axis, 0, k)
    return flipped.gather(axis, places), (x.shape[axis] - 1 - places).to(x.dtype)
