"""Layers that normalise and rescale."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.registry import Layer, Shapes, canonical_axis, expect, layer
from prototxt.caffe_pb2 import FillerParameter, LayerParameter, LRNParameter
from prototxt.errors import InputError


@layer("BatchNorm")
class BatchNorm(Layer):
    """(x - mean) / sqrt(variance + eps) per channel; no scale or shift (batch_norm_layer.cpp).

    Blobs: running sums of mean and variance and their common scale factor, by which they are divided
    (a factor of 0 makes both 0). TRAIN normalises by the batch and updates the sums, the variance with
    m/(m-1); ``use_global_stats`` overrides what the mode would choose.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 1)
        param = message.batch_norm_param
        self.global_stats = param.use_global_stats if param.HasField("use_global_stats") else None
        self.fraction = param.moving_average_fraction
        self.eps = param.eps
        channels = bottoms[0][1] if len(bottoms[0]) > 1 else 1
        self.mean = nn.Buffer(torch.empty(channels))
        self.variance = nn.Buffer(torch.empty(channels))
        self.scale_factor = nn.Buffer(torch.empty(1))
        self.fillers = [None, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        columns = x if x.dim() > 1 else x[:, None]
        use_global = (not self.training) if self.global_stats is None else self.global_stats
        return (self._by_sums(columns) if use_global else self._by_batch(columns)).view_as(x)

    def _by_sums(self, x: Tensor) -> Tensor:
        factor = torch.where(self.scale_factor == 0, 0.0, 1 / self.scale_factor)
        return F.batch_norm(x, self.mean * factor, self.variance * factor, eps=self.eps)

    def _by_batch(self, x: Tensor) -> Tensor:
        if x.numel() == x.shape[1]:  # torch refuses one value per channel; Caffe puts out zeros
            self._update(x.detach().reshape(-1), torch.zeros_like(self.variance))
            return x - x.detach()
        mean, variance = torch.zeros_like(self.mean), torch.zeros_like(self.variance)
        out = F.batch_norm(x, mean, variance, training=True, momentum=1.0, eps=self.eps)
        self._update(mean, variance)
        return out

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        for total, new in ((self.mean, mean), (self.variance, variance), (self.scale_factor, 1.0)):
            total.mul_(self.fraction).add_(new)


@layer("Scale")
class Scale(Layer):
    """x times a blob of scales along ``axis``, plus a bias with ``bias_term``; with two bottoms the
    second is the scale. One scale per element of ``num_axes`` axes, -1: all that follow
    (scale_layer.cpp). The scale is filled with 1 where no filler is given.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 1, 2)
        param = message.scale_param
        shape = bottoms[0]
        self.axis = canonical_axis(message, param.axis, len(shape))
        covered = shape[self.axis :] if param.num_axes < 0 else shape[self.axis : self.axis + param.num_axes]
        if len(bottoms) == 2:
            covered = bottoms[1]
        elif self.axis + max(param.num_axes, 0) > len(shape):
            raise InputError(
                f"num_axes {param.num_axes} from axis {self.axis} passes the bottom's axes", message.name
            )
        if tuple(covered) != tuple(shape[self.axis : self.axis + len(covered)]):
            raise InputError(
                f"scale {tuple(covered)} does not fit {tuple(shape)} from axis {self.axis}", message.name
            )
        self.weight = nn.Parameter(torch.empty(covered)) if len(bottoms) == 1 else None
        self.bias = nn.Parameter(torch.empty(covered)) if param.bias_term else None
        one = param.filler if param.HasField("filler") else FillerParameter(value=1)
        self.fillers = ([one] if len(bottoms) == 1 else []) + [param.bias_filler]

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """Any shape to the same shape."""
        weight = self.weight if scale is None else scale
        assert weight is not None
        y = x * self._spread(weight, x)
        return y if self.bias is None else y + self._spread(self.bias, x)

    def _spread(self, blob: Tensor, x: Tensor) -> Tensor:
        return blob.reshape(blob.shape + (1,) * (x.dim() - self.axis - blob.dim()))


@layer("LRN")
class LRN(Layer):
    """Local response normalisation, x / (k + alpha/n · sum of squares)^beta across channels; within a
    channel the n×n window's mean replaces the sum over n and k is 1 (lrn_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 1)
        param = message.lrn_param
        if param.local_size % 2 == 0:
            raise InputError(f"local_size {param.local_size} must be odd", message.name)
        self.size, self.alpha, self.beta, self.k = param.local_size, param.alpha, param.beta, param.k
        self.within = param.norm_region == LRNParameter.WITHIN_CHANNEL

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        if self.within:
            mean = F.avg_pool2d(x * x, self.size, 1, (self.size - 1) // 2)
            return x * (1 + self.alpha * mean) ** -self.beta
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)
