"""BN, which five forks of Caffe have with five rules; each class says whose it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from converters.layers.base import Layer
from converters.layers.checks import check_channels, is_in_place
from converters.layers.choice import Dialect
from converters.layers.parts.by_batch import by_batch, channel_mean, spread
from converters.layers.parts.gradient import asks_gradient, without_gradient_to
from converters.layers.parts.inverse_deviation import is_no_inverse, looks_inverse
from converters.layers.parts.legacy_axes import check_axes, four_axes
from converters.layers.registry import Builder, Count, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import BNParameter, FillerParameter, LayerParameter

B = TypeVar("B", bound=Builder)
_SCALE = ("bn_param.scale_filler", "bn_param.shift_filler")
_SLOPE = tuple(
    f"bn_param.{name}" for name in ("slope_filler", "bias_filler", "momentum", "eps", "frozen", "engine")
)
_BLOBS = ("slope", "bias", "mean", "variance")
_SEGNET_EPS = 1e-9


def _rule(source: str, blobs: tuple[str, ...], dialect: Dialect, tops: Count = (1, 1)) -> Callable[[B], B]:
    """Register a class for BN as the fork ``source`` has it."""
    where = f"{source}: bn_layer.cpp"
    return layer("BN", source=where, tops=tops, blobs=blobs, macs=free, pointwise=True, dialect=dialect)


@dataclass(frozen=True)
class LearnSpec(Spec):
    """Of SegNet's BN."""

    bn_mode: str = "LEARN"


@dataclass(frozen=True)
class RunningSpec(Spec):
    """Of BN with running statistics, which keep ``momentum`` (1 - decay) of themselves each time."""

    eps: float
    momentum: float
    frozen: bool = False
    moving_average: bool = True


class _BN(Layer):
    """What the rules share: one number a channel, times a scale, plus a shift."""

    names = ("scale", "shift")  # of the two learned blobs, and of their fillers
    axes = 4  # of every blob: (1, C, 1, 1) or (1, C)

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_channels(message, bottoms[0])
        param = message.bn_param
        self.shape = (1, bottoms[0][1], 1, 1)[: self.axes]
        for name in self.names:
            setattr(self, name, nn.Parameter(torch.empty(self.shape)))
        fillers = {name: getattr(param, f"{name}_filler") for name in self.names}
        self.fillers: dict[str, FillerParameter] = fillers

    def _affine(self, y: Tensor) -> Tensor:
        scale, shift = (spread(getattr(self, name), y) for name in self.names)
        return y * scale + shift


class RunningBN(_BN):
    """BN with running statistics: the batch's in TRAIN, the stored ones in TEST, where the gradient is as if
    those were the batch's.
    """

    spec: RunningSpec
    statistics = ("mean", "variance")

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        param = message.bn_param
        self.spec = RunningSpec(param.eps, param.momentum, param.frozen)
        for name in self.statistics:
            setattr(self, name, nn.Buffer(torch.empty(self.shape)))
        if param.frozen:
            self.fillers[self.statistics[1]] = FillerParameter(value=1)

    def uses_batch(self) -> bool:
        """Whether the batch's statistics count."""
        return self.training and not self.spec.frozen

    def _second(self, variance: Tensor) -> Tensor:
        """What the second running statistic is the mean of."""
        return variance

    def of_second(self, second: Tensor) -> Tensor:
        """One over the deviation, from the stored second statistic."""
        return (second + self.spec.eps).rsqrt()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        if self.uses_batch():
            with torch.no_grad():
                mean = channel_mean(x)
                variance = channel_mean((x - mean).square())
                self._update(mean, self._second(variance))
            return self._affine(by_batch(x, mean, (variance + self.spec.eps).rsqrt()))
        mean, inverse = self._stored(x)
        if not self.spec.frozen:
            return self._affine(by_batch(x, mean, inverse))
        scale, shift = (getattr(self, name) for name in self.names)
        y = (x - mean) * inverse * spread(scale.detach(), x) + spread(shift.detach(), x)
        return without_gradient_to(scale, without_gradient_to(shift, y))

    def _stored(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, second = (getattr(self, name) for name in self.statistics)
        return spread(mean, x), spread(self.of_second(second), x)

    def _update(self, *batch: Tensor) -> None:
        for name, new in zip(self.statistics, batch, strict=True):
            total = getattr(self, name)
            keep = self.spec.momentum
            total.mul_(keep).add_(new.reshape(self.shape), alpha=1 - keep)


def _four(axes: int) -> Any:
    return lambda shapes: len(shapes) == 4 and all(len(shape) == axes for shape in shapes)


@_rule(
    "hszhao/PSPNet",
    _BLOBS,
    Dialect("pspnet", also=("icnet",), fields=_SLOPE, shapes=_four(4), is_default=True),
)
class PSPNetBN(RunningBN):
    """Slope and bias; running mean and biased variance with ``momentum``. ``frozen``: the stored ones in
    TRAIN too, and slope and bias have gradients of 0.
    """

    names = ("slope", "bias")


@_rule("yjxiong/caffe", _BLOBS, Dialect("yjxiong", fields=_SLOPE, shapes=_four(2), is_default=True))
class YjxiongBN(PSPNetBN):
    """PSPNet's rule with blobs of two axes (temporal-segment-networks)."""

    axes = 2


@_rule(
    "alexgkendall/caffe-segnet",
    ("scale", "shift"),
    Dialect(
        "segnet",
        also=("enet",),
        fields=(*_SCALE, "bn_param.bn_mode"),
        shapes=lambda shapes: len(shapes) == 2,
        is_default=True,
    ),
    tops=(1, 3),
)
class SegNetBN(_BN):
    """LEARN: by the batch's mean and variance (E[x²] - E[x]², plus 1e-9), in TEST too, for there are no
    running ones; tops 2 and 3 are the two, before the 1e-9. INFERENCE: scale·x + shift, and zeros; in place
    the scale's gradient is taken from the top. The first top has 4 axes whatever the bottom has. SegNet's
    backward pass puts the blobs' gradients in place of those of earlier passes; here they add up, as
    elsewhere.
    """

    spec: LearnSpec
    scale: nn.Parameter
    shift: nn.Parameter

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        check_axes(message, bottoms[0], 2)
        super().__init__(message, bottoms)
        self.spec = LearnSpec(BNParameter.BNMode.Name(message.bn_param.bn_mode))
        self.tops, self.is_in_place = len(message.top), is_in_place(message)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W), later axes 1 where there are none, to the same, and (1, C, 1, 1) of the mean and of
        the variance.
        """
        x = four_axes(x)
        if self.spec.bn_mode == "INFERENCE":
            return (self._inferred(x), *(x.new_zeros(self.shape) for _ in range(1, self.tops)))
        with torch.no_grad():
            mean = channel_mean(x)
            variance = channel_mean(x * x) - mean * mean
        tops = self._affine(by_batch(x, mean, (variance + _SEGNET_EPS).rsqrt())), mean, variance
        return tops[: self.tops]

    def _inferred(self, x: Tensor) -> Tensor:
        if not self.is_in_place or not asks_gradient(self.scale):
            return self._affine(x)
        y = x * self.scale.detach() + self.shift
        return y + y.detach() * (self.scale - self.scale.detach())


@_rule(
    "happynear/caffe-windows",
    ("slope", "bias", "mean", "inverse"),
    Dialect("happynear", fields=_SLOPE, shapes=_four(2), excludes=is_no_inverse, looks_so=looks_inverse),
)
class HappynearBN(PSPNetBN):
    """As yjxiong's, but the second running statistic is the mean of 1 / sqrt(variance + eps), used as is. It
    begins at 1.
    """

    axes = 2
    statistics = ("mean", "inverse")

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        self.fillers["inverse"] = FillerParameter(value=1)

    def _second(self, variance: Tensor) -> Tensor:
        return (variance + self.spec.eps).rsqrt()

    def of_second(self, second: Tensor) -> Tensor:
        """It is that."""
        return second


@_rule(
    "ducha-aiki/caffe",
    ("scale", "shift", "mean", "variance"),
    Dialect(
        "ducha-aiki",
        fields=(*_SCALE, "bn_param.var_eps", "bn_param.moving_average", "bn_param.decay"),
        shapes=_four(4),
        needs_field=True,
    ),
)
class DuchaAikiBN(RunningBN):
    """Scale and shift; running = (1 - decay)·running + decay·batch. ``moving_average: false``: the batch's
    statistics in TEST too.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        param = message.bn_param
        self.spec = RunningSpec(param.var_eps, 1 - param.decay, moving_average=param.moving_average)

    def uses_batch(self) -> bool:
        """Without running statistics always."""
        return self.training or not self.spec.moving_average
