"""Layers that leave a few numbers of many: sums and greatest values."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, not_in_place, positive
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter, ReductionParameter
from prototxt.errors import InputError


@layer("Reduction", source="reduction_layer.cpp", macs=free)
class Reduction(Layer):
    """``coeff`` times the SUM, sum of absolute values (ASUM), of squares (SUMSQ) or MEAN over all axes
    from ``axis`` on (reduction_layer.cpp). The gradient of ASUM at 0 is 0.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)
        param = message.reduction_param
        self.axis = canonical_axis(message, param.axis, len(bottoms[0]))
        self.operation, self.coefficient = param.operation, param.coeff

    def forward(self, x: Tensor) -> Tensor:
        """(a, b, …) to the axes before ``axis``."""
        rows = x.flatten(self.axis)
        total = _OPERATIONS[self.operation](rows)
        return total if self.coefficient == 1 else total * self.coefficient


_OPERATIONS: dict[int, Callable[[Tensor], Tensor]] = {
    ReductionParameter.SUM: lambda rows: rows.sum(-1),
    ReductionParameter.ASUM: lambda rows: rows.abs().sum(-1),
    ReductionParameter.SUMSQ: lambda rows: (rows * rows).sum(-1),
    ReductionParameter.MEAN: lambda rows: rows.mean(-1),
}


@layer("ArgMax", source="argmax_layer.cpp", macs=free)
class ArgMax(Layer):
    """The indices of the ``top_k`` greatest values, along ``axis`` or of each whole sample; with
    ``out_max_val`` the values instead, without an axis the values beside the indices
    (argmax_layer.cpp). Of equal values the later index comes first. No gradient.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param, shape = message.argmax_param, bottoms[0]
        positive(message, top_k=param.top_k)
        if not len(shape):
            raise InputError("takes a blob of 1 axis or more", message.name)
        self.axis = canonical_axis(message, param.axis, len(shape)) if param.HasField("axis") else None
        count = math.prod(shape[1:]) if self.axis is None else shape[self.axis]
        if param.top_k > count:
            raise InputError(f"top_k {param.top_k} is more than the {count} values", message.name)
        self.top_k, self.has_values = param.top_k, param.out_max_val

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) to (N, 1 or 2, k, 1…) of at least 3 axes; with ``axis``, k in its place."""
        if self.axis is not None:
            values, indices = _greatest(x.detach(), self.axis, self.top_k)
            return values if self.has_values else indices
        values, indices = _greatest(x.detach().reshape(x.shape[0], -1), 1, self.top_k)
        found = torch.stack([indices, values], 1) if self.has_values else indices.unsqueeze(1)
        return found.reshape(*found.shape, *(1,) * (x.dim() - 3))


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
