"""CenterLoss and FocalLoss, of forks that learn to tell faces."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, checked_size, positive
from converters.layers.judging.labels import LEAST_LOG, LOSS_TOPS, LabelsSpec, OfLabels, sample_labels
from converters.layers.parts.gradient import with_gradient, with_slope
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import FocalLossParameter, LayerParameter
from prototxt.errors import InputError

_LEAST_RATIO = 1e-10  # of what FocalLoss divides by


@dataclass(frozen=True)
class CenterSpec(Spec):
    """Of CenterLoss."""

    num_output: int
    axis: int = 1
    distance_type: str = "L2"


@layer(
    "CenterLoss",
    source="ydwen/caffe-face: center_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    labels=(1,),
    default_loss_weight=0.0,
    blobs=("center",),
    fields=("center_loss_param",),
    macs=free,
)
class CenterLoss(Layer):
    """How far features are from the center of their class: half the mean of squared distances, or the mean
    of the sums of absolute differences (distance_type L1, happynear's). The fork's gradient: a center's is
    the sum of (center - x) of its class over one more than their number, of signs with L1, whatever the
    loss weighs. Without ``loss_weight`` it weighs nothing. Where the centers' lr_mult is 0 the fork takes no
    signs, so that L1 sends the features the differences.
    """

    spec: CenterSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.index = sample_labels(message, bottoms)
        param = message.center_loss_param
        positive(message, num_output=param.num_output)
        axis = canonical_axis(message, param.axis, len(bottoms[0]))
        if bottoms[0][:axis].numel() != bottoms[0][0] or param.distance_type not in ("L1", "L2"):
            raise InputError("takes one item a label, and distance_type L1 or L2", message.name)
        shape = (param.num_output, bottoms[0][axis:].numel())
        self.spec = CenterSpec(param.num_output, axis, param.distance_type)
        self.center = nn.Parameter(torch.empty(checked_size(message, "centers", shape)))
        self.takes_signs = param.distance_type == "L1" and all(it.lr_mult for it in message.param)
        self.fillers = {"center": param.center_filler}

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Features (N, …) and N labels to a scalar."""
        flat, target = x.flatten(1), self.index(label, self.spec.num_output).reshape(-1)
        with torch.no_grad():
            apart = flat - self.center[target]
            is_l1 = self.spec.distance_type == "L1"
            loss = apart.abs().sum() if is_l1 else apart.square().sum() / 2
            slope = apart.sign() if self.takes_signs else apart
            count = torch.ones_like(self.center).index_add(0, target, torch.ones_like(apart))
            pull = torch.zeros_like(self.center).index_add(0, target, -slope) / count
        top = with_slope(flat, loss / len(x), slope / len(x))
        return top + with_gradient(self.center, x.new_zeros(()), pull)


@dataclass(frozen=True)
class FocalSpec(LabelsSpec):
    """Of FocalLoss."""

    type: str = "ORIGIN"
    alpha: float = 1.0
    gamma: float = 2.0


@layer(
    "FocalLoss",
    source="happynear/caffe-windows: focal_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=(0, 2),
    labels=(1,),
    scores_classes=True,
    probabilities="Softmax",
    fields=("focal_loss_param",),
    macs=free,
)
class FocalLoss(OfLabels):
    """The sum of -(alpha - p)^gamma·log p over the labels' probabilities p of a softmax, alpha + p with
    ONEADDP, divided as SoftmaxWithLoss is; a second top is the softmax. LINEAR is ORIGIN, and ``beta`` does
    nothing. The fork's gradient: it takes alpha for 1 where it divides by 1 - p or 1 + p. NaN where p is more
    than alpha and gamma is no whole number.
    """

    spec: FocalSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms, message.softmax_param.axis)
        param, spec = message.focal_loss_param, self.spec
        if param.gamma < 0 or param.alpha <= 0:
            raise InputError("gamma must be at least 0 and alpha more than 0", message.name)
        kind = FocalLossParameter.Type.Name(param.type)
        self.spec = FocalSpec(
            spec.axis, spec.normalization, spec.ignore_label, kind, param.alpha, param.gamma
        )

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Scores (N, K, …) and labels (N, …) to a scalar."""
        spec, logs = self.spec, F.log_softmax(x.detach(), self.spec.axis)
        target, valid = self._targets(x, label)
        softmax, own = logs.exp(), target.unsqueeze(spec.axis)
        p = softmax.gather(spec.axis, own)
        log_p = logs.gather(spec.axis, own).clamp(min=LEAST_LOG)
        side = 1.0 if spec.type == "ONEADDP" else -1.0
        power = (spec.alpha + side * p) ** spec.gamma
        steep = power + side * spec.gamma * power / (1 + side * p).clamp(min=_LEAST_RATIO) * log_p * p
        norm, counts = self._normaliser(x, valid), valid.unsqueeze(spec.axis)
        loss = -torch.where(counts, power * log_p, 0.0).sum() / norm
        one_hot = torch.zeros_like(softmax).scatter(spec.axis, own, 1.0)
        slope = torch.where(counts, steep * (softmax - one_hot), 0.0) / norm
        top = with_slope(x, loss, slope)
        return (top, softmax) if self.has_softmax else top
