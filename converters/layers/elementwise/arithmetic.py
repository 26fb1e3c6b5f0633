"""Layers that apply a formula to each element."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import is_in_place, not_in_place
from converters.layers.parts.gradient import with_gradient, with_slope, without_gradient_to
from converters.layers.parts.grid import same_grid
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@layer("AbsVal", source="absval_layer.cpp", macs=free, grid=same_grid)
class AbsVal(Layer):
    """|x|; the gradient at 0 is 0 (absval_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return x.abs()


@dataclass(frozen=True)
class PowerSpec(Spec):
    """Of Power."""

    power: float = 1.0
    scale: float = 1.0
    shift: float = 0.0


@layer("Power", source="power_layer.cpp", macs=free, grid=same_grid)
class Power(Layer):
    """(shift + scale·x)^power (power_layer.cpp).

    Caffe's gradient divides the top by the base, so where the base is 0 and the power is neither 1 nor 2
    it is not a number. torch's is finite there for powers above 1. In place Caffe's gradient is that slope
    squared, at the top's values and whatever the top's gradient is.
    """

    spec: PowerSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.power_param
        self.spec = PowerSpec(param.power, param.scale, param.shift)
        self.reads_overwritten = is_in_place(message) and self.spec.power * self.spec.scale != 0

    def backward_reads(self) -> str:
        """A slope that is constant reads nothing, the square's the bottom alone."""
        if self.spec.power == 1 or self.spec.power * self.spec.scale == 0:
            return ""
        return "bottom" if self.spec.power == 2 else "top"

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        if self.spec.power * self.spec.scale == 0:
            return without_gradient_to(x, torch.full_like(x, self._constant()))
        if not (self.reads_overwritten and torch.is_grad_enabled()):
            return self._formula(x)
        with torch.no_grad():
            y = self._formula(x)
            slope = self._slope(y, y)
        return with_gradient(x, y, slope * slope)

    def _formula(self, x: Tensor) -> Tensor:
        base = x * self.spec.scale if self.spec.scale != 1 else x
        base = base + self.spec.shift if self.spec.shift != 0 else base
        if self.spec.power == 1:
            return base
        if self.spec.power == 2:
            return base * base
        with torch.no_grad():
            y = base**self.spec.power
            slope = self.spec.power * y / base
        return with_slope(base, y, slope)

    def _slope(self, x: Tensor, y: Tensor) -> Tensor:
        """The derivative as Caffe writes it down."""
        factor = self.spec.power * self.spec.scale
        if self.spec.power == 1:
            return torch.full_like(x, factor)
        base = x * self.spec.scale + self.spec.shift if self.spec.shift or self.spec.power == 2 else x
        return factor * base if self.spec.power == 2 else factor * (y / base)

    def _constant(self) -> float:
        return (
            float(torch.tensor(self.spec.shift, device="cpu").pow(self.spec.power))
            if self.spec.power
            else 1.0
        )


def _log_of(message: LayerParameter, base: float) -> float:
    """ln(base), 1 for the special base -1. Raises InputError for one that has no logarithm."""
    if base == -1:
        return 1.0
    if not 0 < base < math.inf:
        raise InputError(f"base {base:g} must be above 0, or -1 for e", message.name)
    return math.log(base)


@dataclass(frozen=True)
class ExpSpec(Spec):
    """Of Exp."""

    base: float = -1.0
    scale: float = 1.0
    shift: float = 0.0


@layer("Exp", source="exp_layer.cpp", macs=free, backward_reads="top", grid=same_grid)
class Exp(Layer):
    """base^(shift + scale·x), where base -1 stands for e (exp_layer.cpp)."""

    spec: ExpSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.exp_param
        self.spec = ExpSpec(param.base, param.scale, param.shift)
        log_base = _log_of(message, param.base)
        self.inner, self.outer = log_base * param.scale, _power_of_e(log_base * param.shift)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        y = torch.exp(x if self.inner == 1 else x * self.inner)
        return y if self.outer == 1 else y * self.outer


def _power_of_e(x: float) -> float:
    """exp(x) in float32, infinite where that overflows."""
    return float(torch.tensor(x, device="cpu").exp())


@dataclass(frozen=True)
class LogSpec(Spec):
    """Of Log."""

    base: float = -1.0
    scale: float = 1.0
    shift: float = 0.0


@layer("Log", source="log_layer.cpp", macs=free, backward_reads="bottom", grid=same_grid)
class Log(Layer):
    """The logarithm of shift + scale·x to ``base``, where -1 stands for e (log_layer.cpp). In place Caffe's
    gradient is the slope at the top's values, squared, whatever the top's gradient is.
    """

    spec: LogSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.log_param
        self.spec = LogSpec(param.base, param.scale, param.shift)
        log_base = _log_of(message, param.base)
        if log_base == 0:
            raise InputError("base 1 has no logarithm", message.name)
        self.factor = 1 / log_base
        self.reads_overwritten = is_in_place(message)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        scale, shift = self.spec.scale, self.spec.shift
        y = torch.log(x * scale + shift)
        y = y if self.factor == 1 else y * self.factor
        if not self.reads_overwritten:
            return y
        slope = scale * self.factor / (y.detach() * scale + shift)
        return with_gradient(x, y, slope * slope)


@dataclass(frozen=True)
class ThresholdSpec(Spec):
    """Of Threshold."""

    threshold: float = 0.0


@layer("Threshold", source="threshold_layer.cpp", macs=free, grid=same_grid)
class Threshold(Layer):
    """1 above the threshold, else 0; Caffe has no backward pass for it (threshold_layer.cpp)."""

    spec: ThresholdSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.spec = ThresholdSpec(message.threshold_param.threshold)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return (x > self.spec.threshold).to(x.dtype)
