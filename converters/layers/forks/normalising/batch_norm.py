"""BatchNorm as NVIDIA's and Intel's forks have it; Caffe's own stands in normalising/."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from converters.layers.base import Layer
from converters.layers.checks import check_channels
from converters.layers.choice import Dialect
from converters.layers.normalising.batch_norm import BatchNorm
from converters.layers.parts.by_batch import by_batch, channel_mean, spread
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import TRAIN, FillerParameter, LayerParameter
from prototxt.errors import InputError

_COPIED = 2  # the first passes of training put the batch's statistics in place of the stored ones
_LEAST_EPS = 1e-5
_SCALE = tuple(f"batch_norm_param.{name}" for name in ("scale_bias", "scale_filler", "bias_filler"))


@dataclass(frozen=True)
class NvidiaSpec(Spec):
    """Of NVIDIA's BatchNorm."""

    scale_bias: bool = False
    moving_average_fraction: float = 0.999
    eps: float = _LEAST_EPS


@layer(
    "BatchNorm",
    source="NVIDIA/caffe: batch_norm_layer.cpp",
    blobs=("mean", "variance", "correction", "scale", "bias"),
    macs=free,
    pointwise=True,
    dialect=Dialect("nvidia", fields=_SCALE, shapes=lambda shapes: len(shapes) in (3, 5)),
)
class NvidiaBatchNorm(Layer):
    """(x - mean) / sqrt(variance + eps), times a scale and plus a bias where ``scale_bias`` or a filler of
    them is set. TEST: the stored statistics as they are; the third blob is 1 and unread, and so is
    ``use_global_stats``. TRAIN: the batch's, biased; the stored variance is a mean of variance + eps. A run's
    first two passes of training copy the batch's statistics. eps is 1e-5 at least.

    In TEST the fork's backward pass reads a buffer that nobody has filled; here the gradient is that of the
    stored statistics.
    """

    spec: NvidiaSpec
    mean: nn.Buffer
    variance: nn.Buffer

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.batch_norm_param
        check_channels(message, bottoms[0])
        learns = param.scale_bias or param.HasField("scale_filler") or param.HasField("bias_filler")
        eps = max(param.eps, _LEAST_EPS)
        self.spec = NvidiaSpec(learns, param.moving_average_fraction, eps)
        channels = bottoms[0][1]
        self.mean = nn.Buffer(torch.empty(channels))
        self.variance = nn.Buffer(torch.empty(channels))
        self.correction = nn.Buffer(torch.empty(1))
        self.scale = nn.Parameter(torch.empty(channels)) if learns else None
        self.bias = nn.Parameter(torch.empty(channels)) if learns else None
        one = FillerParameter(value=1)
        scale = param.scale_filler if param.HasField("scale_filler") else one
        self.fillers = {"correction": one, "scale": scale, "bias": param.bias_filler}
        self.passes = 0  # of training, up to _COPIED

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        y = self._by_batch(x) if self.training else self._by_stored(x)
        if self.scale is None or self.bias is None:
            return y
        return y * spread(self.scale, x) + spread(self.bias, x)

    def _by_stored(self, x: Tensor) -> Tensor:
        return (x - spread(self.mean, x)) * spread((self.variance + self.spec.eps).rsqrt(), x)

    def _by_batch(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            mean = channel_mean(x)
            variance = channel_mean((x - mean).square()) + self.spec.eps
            self._update(mean.flatten(), variance.flatten())
        return by_batch(x, mean, variance.rsqrt())

    def _update(self, mean: Tensor, variance: Tensor) -> None:
        if mean.is_meta:  # shapes alone are asked for
            return
        keep = self.spec.moving_average_fraction if self.passes == _COPIED else 0.0
        for stored, new in ((self.mean, mean), (self.variance, variance)):
            stored.copy_(stored * keep + new * (1 - keep) if keep else new)
        self.passes = min(self.passes + 1, _COPIED)


@layer(
    "BatchNorm",
    source="intel/caffe: batch_norm_layer.cpp",
    blobs=("mean", "variance", "scale_factor"),
    macs=free,
    pointwise=True,
    dialect=Dialect(
        "intel",
        fields=("batch_norm_param.stats_batch_size", "batch_norm_param.filler"),
        shapes=lambda shapes: len(shapes) == 3,
        needs_field=True,
        of_net=(("bn_stats_batch_size", "batch_norm_param.stats_batch_size"),),
    ),
)
class IntelBatchNorm(BatchNorm):
    """Caffe's, but where the batch's statistics count they are those of each ``stats_batch_size`` images, one
    after another into the running sums. ``filler`` is of the scale that its other engines fuse with it.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        self.part = message.batch_norm_param.stats_batch_size
        stored = self.spec.use_global_stats
        counts = message.phase == TRAIN if stored is None else not stored
        if counts and self.part and bottoms[0][0] % self.part:
            raise InputError(f"stats_batch_size {self.part} must divide {bottoms[0][0]} images", message.name)

    def _by_batch(self, x: Tensor) -> Tensor:
        if not self.part or self.part == x.shape[0]:
            return super()._by_batch(x)
        parts = x.reshape(-1, self.part, *x.shape[1:]).transpose(0, 1)  # (images of a part, parts, C, …)
        channels = parts.flatten(1, 2)
        mean = channel_mean(channels.detach())
        variance = channel_mean((channels.detach() - mean).square())
        count = channels.numel() // channels.shape[1]
        self._add(mean.view(-1, x.shape[1]), variance.view(-1, x.shape[1]) * (count / max(count - 1, 1)))
        y = by_batch(channels, mean, (variance + self.spec.eps).rsqrt())
        return y.view_as(parts).transpose(0, 1).flatten(0, 1)

    @torch.no_grad()
    def _add(self, means: Tensor, variances: Tensor) -> None:
        """Take (parts, C) of each into the sums, the first part first."""
        keep = self.spec.moving_average_fraction
        ages = torch.arange(means.shape[0] - 1, -1, -1, device=means.device, dtype=means.dtype)
        weights = keep**ages
        for total, new in ((self.mean, weights @ means), (self.variance, weights @ variances)):
            total.mul_(keep ** means.shape[0]).add_(new)
        self.scale_factor.mul_(keep ** means.shape[0]).add_(weights.sum())
