"""SoftmaxWithLoss of forks that weigh classes, samples or pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.choice import Dialect
from converters.layers.judging.labels import LOSS_TOPS, LabelsSpec, one_number
from converters.layers.judging.softmax import SoftmaxWithLoss
from converters.layers.parts.gradient import with_slope
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class WeightedSpec(LabelsSpec):
    """Of a SoftmaxWithLoss with a weight a class; () where none has one."""

    class_weights: tuple[float, ...] = ()


class _Weighted(SoftmaxWithLoss):
    """What the forks share: the loss and the gradient of a position times the weight of its label."""

    spec: WeightedSpec

    def _weigh(self, message: LayerParameter, bottoms: Shapes, weights: tuple[float, ...]) -> None:
        """Take the classes' ``weights``. Raises InputError unless there is one a class, or none."""
        classes = bottoms[0][self.spec.axis]
        if weights and len(weights) != classes:
            raise InputError(f"{len(weights)} class weights for {classes} classes", message.name)
        spec = self.spec
        self.spec = WeightedSpec(spec.axis, spec.normalization, spec.ignore_label, weights)

    def _of_class(self, target: Tensor, x: Tensor) -> Tensor:
        """The weight of each label: (N, …) to the same, 1 where classes have none."""
        if not self.spec.class_weights:
            return torch.ones_like(target, dtype=x.dtype)
        return torch.tensor(self.spec.class_weights, dtype=x.dtype, device=x.device)[target]


class _ByClass(_Weighted):
    """Each position's loss and gradient times the weight of its label's class, divided by the number of
    positions that are not ignored, whatever they weigh, or by the outer count. No position left: NaN, the
    gradient too.
    """

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Scores (N, K, …) and labels (N, …) to a scalar."""
        axis, each = self.spec.axis, self._each(x.detach(), label)
        weights = torch.where(each.valid, self._of_class(each.target, x), 0.0)
        is_valid = self.spec.normalization == "VALID"
        count = each.valid.sum() if is_valid else self._normaliser(x, each.valid)
        one_hot = torch.zeros_like(x).scatter(axis, each.target.unsqueeze(axis), 1.0)
        slope = (each.logs.exp() - one_hot) * weights.unsqueeze(axis)
        return with_slope(x, (each.loss * weights).sum() / count, slope / count)


@layer(
    "SoftmaxWithLoss",
    source="alexgkendall/caffe-segnet: softmax_loss_layer.cpp",
    bottoms=(2, 2),
    tops=(0, 1),
    labels=(1,),
    fatal=(1,),
    dialect=Dialect(
        "segnet",
        also=("enet",),
        fields=("loss_param.weight_by_label_freqs", "loss_param.class_weighting"),
        needs_field=True,
    ),
    role="loss",
    scores_classes=True,
    probabilities="Softmax",
    macs=free,
)
class SegNetSoftmaxWithLoss(_ByClass):
    """With ``weight_by_label_freqs`` a class weighs its ``class_weighting``, which without the flag does
    nothing. ``normalize: false`` divides by the outer count.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        weighs = message.loss_param.weight_by_label_freqs
        if weighs and not message.loss_param.class_weighting:
            raise InputError("weight_by_label_freqs needs a class_weighting a class", message.name)
        self._weigh(message, bottoms, tuple(message.loss_param.class_weighting) if weighs else ())


@layer(
    "FixedWeightedSoftmaxWithLoss",
    source="longpeng2008/Caffe_Long: fixed_weighted_softmax_with_loss_layer.cpp",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    most=one_number,
    labels=(1,),
    fatal=(1,),
    role="loss",
    scores_classes=True,
    probabilities="Softmax",
    fields=("softmax_param.pos_mult", "softmax_param.pos_cid"),
    macs=free,
)
class FixedWeightedSoftmaxWithLoss(_ByClass):
    """The loss and the gradient of the class ``pos_cid`` times ``pos_mult``, divided by the outer count, or
    with ``normalize: true`` by the number of positions that are not ignored (none: NaN). ``normalization``
    does nothing.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        spec, param = self.spec, message.softmax_param
        ones = [1.0] * bottoms[0][spec.axis]
        if 0 <= param.pos_cid < len(ones):
            ones[param.pos_cid] = param.pos_mult
        mode = "VALID" if message.loss_param.normalize else "BATCH_SIZE"
        self.spec = WeightedSpec(spec.axis, mode, spec.ignore_label, tuple(ones))


@layer(
    "SoftmaxWithLoss",
    source="happynear/caffe-windows: softmax_loss_layer.cpp",
    bottoms=(2, 3),
    tops=(0, 2),
    labels=(1, 2),
    dialect=Dialect(
        "happynear", fields=("softmax_param.class_weight", "softmax_param.normalize_type"), needs_field=True
    ),
    role="loss",
    scores_classes=True,
    probabilities="Softmax",
    macs=free,
)
class HappynearSoftmaxWithLoss(_Weighted):
    """A third bottom weighs each position, and ``class_weight`` each class where there is that bottom. The
    sum is divided by that of the weights (VALID, at least 1); a gradient by that of the third bottom alone.
    This is the CPU code; on a GPU a score's gradient is weighed by its own class and not by the label's.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        if (kind := message.softmax_param.normalize_type) != "Softmax":
            raise InputError(f"normalize_type {kind} is not supported in a loss", message.name)
        if len(bottoms) > 2 and bottoms[2].numel() != bottoms[1].numel():
            raise InputError(f"{bottoms[2].numel()} weights for {bottoms[1].numel()} labels", message.name)
        self._weigh(message, bottoms, tuple(message.softmax_param.class_weight))

    def forward(self, x: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Scores (N, K, …), labels (N, …) and as many weights to a scalar."""
        if weight is None:
            return super().forward(x, label)
        each = self._each(x, label)
        own = torch.where(each.valid, weight.detach().reshape(each.target.shape), 0.0)
        whole = own * self._of_class(each.target, x)
        loss = (each.loss * whole).sum()
        value, part = loss / self._total(x, whole), loss / self._total(x, own)
        top = part + (value - part).detach()
        return (top, each.logs.detach().exp()) if self.has_softmax else top

    def _total(self, x: Tensor, weights: Tensor) -> Tensor | float:
        if self.spec.normalization == "VALID":
            return weights.sum().clamp(min=1)
        return self._normaliser(x, weights)
