"""Layers that bring a blob's values to a common scale."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import check_planes, is_in_place
from converters.layers.parts.grid import same_grid
from converters.layers.parts.legacy_axes import four_axes
from converters.layers.parts.windows import Windows, average_pool
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter, LRNParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class LRNSpec(Spec):
    """Of LRN."""

    local_size: int = 5
    alpha: float = 1.0
    beta: float = 0.75
    k: float = 1.0
    norm_region: str = "ACROSS_CHANNELS"


@layer("LRN", source="lrn_layer.cpp", macs=free, pointwise=True, backward_reads="top", mixes=True)
class LRN(Layer):
    """Local response normalisation, x / (k + alpha/n · sum of squares)^beta across channels; within a
    channel the n×n window's mean replaces the sum over n and k is 1 (lrn_layer.cpp). Across channels in
    place it is as in Caffe's GPU code; the CPU's multiplies by the power twice.
    """

    spec: LRNSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.lrn_param
        if param.local_size % 2 == 0:
            raise InputError(f"local_size {param.local_size} must be odd", message.name)
        check_planes(message, bottoms[0])
        region = LRNParameter.NormRegion.Name(param.norm_region)
        self.spec = LRNSpec(param.local_size, param.alpha, param.beta, param.k, region)
        self.within = param.norm_region == LRNParameter.WITHIN_CHANNEL
        self.windows = Windows((self.spec.local_size,) * 2, (1, 1), ((self.spec.local_size - 1) // 2,) * 2)
        self.in_place = is_in_place(message)

    def notice(self) -> str | None:
        """Of one in place."""
        text = "works in place, which is right on a GPU in Caffe and here, but not on a CPU in Caffe"
        return text if self.in_place and not self.within else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        if self.within:
            mean = average_pool(x * x, self.windows)
            return x * (1 + self.spec.alpha * mean) ** -self.spec.beta
        if torch.onnx.is_in_onnx_export():
            return self._as_onnx(x)
        columns = (x * x).flatten(2).unsqueeze(1)  # torch's own has no half precision on the CPU
        mean = F.avg_pool2d(columns, (self.spec.local_size, 1), 1, (self.spec.local_size // 2, 0)).view_as(x)
        return x * (self.spec.k + self.spec.alpha * mean) ** -self.spec.beta

    def _as_onnx(self, x: Tensor) -> Tensor:
        """ONNX's own operator: a pooling over channels counts its padding in some readers of such files."""
        numbers: dict[str, Any] = {
            "size": self.spec.local_size,
            "alpha": self.spec.alpha,
            "beta": self.spec.beta,
            "bias": self.spec.k,
        }
        return torch.onnx.ops.symbolic("LRN", (x,), numbers, dtype=x.dtype, shape=x.shape)


class _Standardise(torch.autograd.Function):
    """x / (deviation + eps) of rows that have mean 0; backward as if eps were part of the deviation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        deviation = _deviation(x, eps)
        ctx.save_for_backward(x / deviation, deviation)
        return x / deviation

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        y, deviation = ctx.saved_tensors
        return (grads[0] - y * (y * grads[0]).mean(1, keepdim=True)) / deviation, None


def _deviation(rows: Tensor, eps: float) -> Tensor:
    return (rows * rows).mean(1, keepdim=True).sqrt() + eps


@dataclass(frozen=True)
class MVNSpec(Spec):
    """Of MVN."""

    normalize_variance: bool = True
    across_channels: bool = False
    eps: float = 1e-9


@layer("MVN", source="mvn_layer.cpp", macs=free, backward_reads="top", mixes=True, grid=same_grid)
class MVN(Layer):
    """Each channel, or with ``across_channels`` each sample, to mean 0 and with ``normalize_variance``
    divided by its deviation + eps, whose gradient Caffe takes as if eps were part of the deviation
    (mvn_layer.cpp). The top always has 4 axes.
    """

    spec: MVNSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.mvn_param
        if len(bottoms[0]) > 4:
            raise InputError(f"takes at most 4 axes, not {len(bottoms[0])}", message.name)
        self.spec = MVNSpec(param.normalize_variance, param.across_channels, param.eps)
        self.in_place = is_in_place(message)

    def notice(self) -> str | None:
        """Of a gradient in place, which Caffe takes from what it has written over."""
        text = "works in place, where Caffe reads what it has written over; here it is the derivative"
        return text if self.in_place and self.spec.normalize_variance and self.training else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), axes that lack being 1, to (N, C, H, W)."""
        images = four_axes(x)
        samples = images if self.spec.across_channels else images.flatten(0, 1)
        rows = samples.flatten(1)
        rows = rows - rows.mean(1, keepdim=True)
        if self.spec.normalize_variance:
            rows = self._divide(rows)
        return rows.view_as(images)

    def _divide(self, rows: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return rows / _deviation(rows, self.spec.eps)
        divided: Tensor = _Standardise.apply(rows, self.spec.eps)  # type: ignore[no-untyped-call]
        return divided
