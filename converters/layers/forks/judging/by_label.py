"""LabelSpecificAdd and LabelSpecificRescale, which change the right class' score while a net learns."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import is_in_place, not_in_place
from converters.layers.judging.labels import sample_labels
from converters.layers.parts.gradient import with_slope
from converters.layers.parts.passes import Counted
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec, numbers_of
from prototxt.caffe_pb2 import TRAIN, LabelSpecificRescaleParameter, LayerParameter


def _classes(module: Layer, bottoms: Shapes) -> int:
    return bottoms[0][1:].numel()


def _without_label(message: LayerParameter) -> LayerParameter | None:
    """The copy, a Power that does nothing, that either layer is in TEST; None where it works there, too."""
    trains = message.HasField("phase") and message.phase == TRAIN
    if trains or message.label_specific_rescale_param.rescale_test:
        return None
    return LayerParameter(name=message.name, type="Power", bottom=message.bottom[:1], top=message.top[:1])


class _ByLabel(Counted):
    """What both share: one label an item, and a second top (1,) with the number that they work with."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.index = sample_labels(message, bottoms)
        self.has_number = len(message.top) > 1

    def _is_own(self, x: Tensor, label: Tensor) -> Tensor:
        """Which scores are the labels' own, as a mask of ``x``'s shape."""
        classes = x.shape[1:].numel()
        target = self.index(label, classes).reshape(-1, 1)
        own = torch.zeros(len(x), classes, dtype=torch.bool, device=x.device)
        return own.scatter(1, target, True).reshape(x.shape)

    def _tops(self, y: Tensor, number: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return (y, number.to(y.dtype).reshape(1)) if self.has_number else y


@dataclass(frozen=True)
class AddSpec(Spec):
    """Of LabelSpecificAdd; ``bias_base`` None: the bias stays as it is."""

    bias: float = 0.0
    bias_base: float | None = None
    bias_gamma: float = 0.0
    bias_power: float = 1.0
    bias_min: float = 0.0
    bias_max: float = 0.0


@layer(
    "LabelSpecificAdd",
    source="happynear/caffe-windows: label_specific_add.cpp",
    fields=("label_specific_add_param",),
    bottoms=(2, 2),
    tops=(1, 2),
    deployed=_without_label,
    macs=free,
    indices={1: _classes},
)
class LabelSpecificAdd(_ByLabel):
    """The label's score plus ``bias``, where it is more than -bias; nothing in TEST (``transform_test`` does
    nothing). With ``bias_base`` the bias is base + (1 + gamma·passes)^power - 1, at least bias_min and at
    most bias_max. A second top is the bias, 0 in TEST. The gradient goes through as it is.
    """

    spec: AddSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        param = message.label_specific_add_param
        base = param.bias_base if param.HasField("bias_base") else None
        self.spec = AddSpec(
            param.bias, base, param.bias_gamma, param.bias_power, param.bias_min, param.bias_max
        )
        self.first = param.iteration

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Scores (N, …) and N labels to the scores' shape, and (1,) with the second top."""
        if not self.training:
            return self._tops(x.view_as(x), x.new_zeros(1))
        bias = self._bias(x).to(x.dtype)
        gains = self._is_own(x, label) & (x.detach() > -bias)
        return self._tops(x + torch.where(gains, bias, 0.0), bias)

    def _bias(self, x: Tensor) -> Tensor:
        spec = self.spec
        if spec.bias_base is None:
            return torch.tensor(spec.bias, device=x.device)
        grown = spec.bias_base + (1 + spec.bias_gamma * self.count(x)) ** spec.bias_power - 1
        return grown.clamp(min=spec.bias_min).clamp(max=spec.bias_max)


@dataclass(frozen=True)
class RescaleSpec(Spec):
    """Of LabelSpecificRescale; None: the prototxt does not set it."""

    positive_weight: float = 1.0
    negative_weight: float = 1.0
    rescale_test: bool = False
    for_ip: bool = False
    bias_fix: bool = False
    power_on_positive: bool = False
    positive_weight_base: float | None = None
    gamma: float = 0.0
    power: float = 1.0
    positive_weight_min: float | None = None
    positive_weight_max: float | None = None

    @classmethod
    def read(cls, param: LabelSpecificRescaleParameter) -> "RescaleSpec":
        """The message's numbers."""
        optional = ("positive_weight_base", "positive_weight_min", "positive_weight_max")
        unset = {name: None for name in optional if not param.HasField(name)}
        return cls(**numbers_of(param, cls) | unset)


@layer(
    "LabelSpecificRescale",
    source="happynear/caffe-windows: label_specific_rescale.cpp",
    fields=("label_specific_rescale_param",),
    bottoms=(2, 2),
    tops=(1, 2),
    deployed=_without_label,
    macs=free,
    indices={1: _classes},
)
class LabelSpecificRescale(_ByLabel):
    """The label's score times ``positive_weight`` (with ``bias_fix`` plus 1 - positive_weight, with
    ``power_on_positive`` to its power), with ``for_ip`` only where it is above 0; others times
    ``negative_weight``. Nothing in TEST but with ``rescale_test``. With ``positive_weight_base`` TRAIN's
    weight is base·(1 + gamma·pass)^-power within positive_weight_min and _max. A second top is the weight.
    """

    spec: RescaleSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        param = message.label_specific_rescale_param
        self.spec, self.first = RescaleSpec.read(param), param.iteration
        if self.spec.power_on_positive:
            not_in_place(message)
        self.is_in_place = is_in_place(message)

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Scores (N, …) and N labels to the scores' shape, and (1,) with the second top."""
        weight = self._weight(x).to(x.dtype)
        if not self.training and not self.spec.rescale_test:
            return self._tops(x.view_as(x), weight)
        with torch.no_grad():
            own = self._is_own(x, label)
            y, slope = self._rescaled(x, weight)
            other = self.spec.negative_weight
            y = torch.where(own, torch.where(self._counts(x), y, x), x * other)
            judged = y if self.is_in_place else x  # in place the backward pass finds the top there
            slope = torch.where(own, torch.where(self._counts(judged), slope, 1.0), other)
        return self._tops(with_slope(x, y, slope), weight)

    def _counts(self, x: Tensor) -> Tensor:
        return x > 0 if self.spec.for_ip else torch.ones_like(x, dtype=torch.bool)

    def _rescaled(self, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(new score, its slope) of every score, as if it were a label's."""
        if self.spec.power_on_positive:
            size = x.abs()
            return x.sign() * size**weight, weight * size ** (weight - 1)
        shift = 1 - weight if self.spec.bias_fix else 0.0
        return x * weight + shift, weight.expand_as(x)

    def _weight(self, x: Tensor) -> Tensor:
        spec = self.spec
        if spec.positive_weight_base is None or not self.training:
            return torch.tensor(spec.positive_weight, device=x.device)
        falling = spec.positive_weight_base * (1 + spec.gamma * (self.count(x) + 1)) ** -spec.power
        if spec.positive_weight_min is not None:
            falling = falling.clamp(min=spec.positive_weight_min)
        return falling if spec.positive_weight_max is None else falling.clamp(max=spec.positive_weight_max)
