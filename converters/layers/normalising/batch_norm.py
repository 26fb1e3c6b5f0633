"""BatchNorm of Caffe 1.0; those of forks stand in forks/."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.choice import CAFFE, Dialect
from converters.layers.parts.by_batch import channel_mean, spread
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class BatchNormSpec(Spec):
    """Of BatchNorm; without ``use_global_stats`` the phase decides."""

    use_global_stats: bool | None = None
    moving_average_fraction: float = 0.999
    eps: float = 1e-5


@layer(
    "BatchNorm",
    source="batch_norm_layer.cpp",
    blobs=("mean", "variance", "scale_factor"),
    macs=free,
    pointwise=True,
    dialect=Dialect(CAFFE, shapes=lambda shapes: len(shapes) == 3, is_default=True),
)
class BatchNorm(Layer):
    """(x - mean) / sqrt(variance + eps) per channel; no scale or shift (batch_norm_layer.cpp).

    Blobs: running sums of mean and variance and their common scale factor, by which they are divided
    (a factor of 0 makes both 0). TRAIN normalises by the batch and updates the sums, the variance with
    m/(m-1); ``use_global_stats`` overrides what the mode would choose.
    """

    spec: BatchNormSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.batch_norm_param
        global_stats = param.use_global_stats if param.HasField("use_global_stats") else None
        self.spec = BatchNormSpec(global_stats, param.moving_average_fraction, param.eps)
        if not bottoms[0]:
            raise InputError("takes a blob of 1 axis or more", message.name)
        if any(spec.lr_mult for spec in message.param):
            raise InputError(
                "BatchNorm's statistics are not learned: its param takes lr_mult: 0 alone", message.name
            )
        channels = bottoms[0][1] if len(bottoms[0]) > 1 else 1
        self.mean = nn.Buffer(torch.empty(channels))
        self.variance = nn.Buffer(torch.empty(channels))
        self.scale_factor = nn.Buffer(torch.empty(1))
        self.is_settled = False

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        normalise = self._by_batch if self.uses_batch() else self._by_sums
        return normalise(x) if x.dim() > 1 else normalise(x[:, None]).view_as(x)

    def uses_batch(self) -> bool:
        """Whether the batch's statistics count, and not the stored ones."""
        stats = self.spec.use_global_stats
        return self.training if stats is None else not stats

    def stored(self) -> tuple[Tensor, Tensor]:
        """Mean and variance: the sums divided by their factor, of which 0 makes both 0."""
        factor = torch.where(self.scale_factor == 0, 0.0, 1 / self.scale_factor)
        return self.mean * factor, self.variance * factor

    @torch.no_grad()
    def settle(self) -> None:
        """Divide the sums by their factor for good, for a net that is not trained any more."""
        mean, variance = self.stored()
        self.mean.copy_(mean)
        self.variance.copy_(variance)
        self.scale_factor.fill_(1)
        self.is_settled = True

    def _by_sums(self, x: Tensor) -> Tensor:
        mean, variance = (self.mean, self.variance) if self.is_settled else self.stored()
        return F.batch_norm(x, mean, variance, eps=self.spec.eps)

    def _by_batch(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():  # torch's ONNX exporter takes the batch's statistics for zeros
            away = x - channel_mean(x)
            return away / (channel_mean(away * away) + self.spec.eps).sqrt()
        if x.numel() == x.shape[1]:  # torch refuses one value per channel; Caffe puts out zeros
            self._update(x.detach().reshape(-1), torch.zeros_like(self.variance))
            return x - x.detach()
        if x.is_cpu and x.dtype == torch.float32 and x.dim() > 2 and not x.is_contiguous():
            out, mean, variance = _by_exact_sums(x, self.spec.eps)
            self._update(mean, variance)
            return out
        mean, variance = torch.zeros_like(self.mean), torch.zeros_like(self.variance)
        out = F.batch_norm(x, mean, variance, training=True, momentum=1.0, eps=self.spec.eps)
        self._update(mean, variance)
        return out

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        for total, new in ((self.mean, mean), (self.variance, variance), (self.scale_factor, 1.0)):
            total.mul_(self.spec.moving_average_fraction).add_(new)


_PIECES = 16  # of a batch at a time: all of it at once would take as much memory again, and more time


def _by_exact_sums(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(normalised, mean, variance with m/(m-1)) of (N, C, …) in any memory format."""
    normalise: Any = _NormaliseBatch.apply if torch.is_grad_enabled() else _normalise_batch
    y, _, mean, variance = normalise(x, eps)
    count = x.numel() // x.shape[1]
    return y, mean.float(), (variance * (count / (count - 1))).float()


class _NormaliseBatch(torch.autograd.Function):
    """Normalising by the batch where torch's kernel for the CPU is inexact: that for channels_last sums
    whole batches one by one in float32, forward and backward, and is off by up to 1e-3.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, ...]:
        y, deviation, mean, variance = _normalise_batch(x, eps)
        factor, shift = ((part / deviation).to(x.dtype) for part in (torch.ones_like(mean), -mean))
        rest = factor.double() * mean + shift.double()  # the mean that rounding has left in y
        ctx.save_for_backward(y, deviation, rest)
        ctx.mark_non_differentiable(deviation, mean, variance)
        return y, deviation, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor, None]:
        y, deviation, rest = ctx.saved_tensors
        count = y.numel() // y.shape[1]
        mean = _sums(grad) / count
        pairs = zip(grad.chunk(_PIECES), y.chunk(_PIECES), strict=True)
        along = torch.stack([_sums(a * b) for a, b in pairs]).sum(0) / count - mean * rest
        slope = _scaled(y, -along / deviation, (along * rest - mean) / deviation)
        return slope.addcmul_(grad, spread((1 / deviation).to(y.dtype), y)), None


def _normalise_batch(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(normalised, deviation, mean, variance), the last three in float64."""
    count = x.numel() // x.shape[1]
    mean = _sums(x) / count
    squares = [_sums((part - spread(mean.to(x.dtype), x)).square_()) for part in x.chunk(_PIECES)]
    variance = torch.stack(squares).sum(0) / count
    deviation = (variance + eps).sqrt()
    return _scaled(x, 1 / deviation, -mean / deviation), deviation, mean, variance


def _scaled(x: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """x·factor + shift per channel, in one pass over the batch."""
    zero, one = torch.zeros_like(factor, dtype=x.dtype), torch.ones_like(factor, dtype=x.dtype)
    return F.batch_norm(x, zero, one, factor.to(x.dtype), shift.to(x.dtype), eps=0.0)


def _sums(x: Tensor) -> Tensor:
    """Sums per channel in float64, those of each image in ``x``'s own type: (N, C, …) to (C,)."""
    return x.flatten(2).sum(2).double().sum(0)
