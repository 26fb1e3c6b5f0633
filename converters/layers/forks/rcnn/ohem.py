"""Online hard example mining of R-FCN: the loss of every roi, and which rois are learned from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import positive
from converters.layers.choice import Dialect
from converters.layers.judging.labels import LabelsSpec
from converters.layers.judging.softmax import SoftmaxWithLoss
from converters.layers.parts.boxes.rows import ranks
from converters.layers.parts.legacy_axes import four_axes
from converters.layers.registry import Builder, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

B = TypeVar("B", bound=Builder)
_RFCN = "daijifeng001/caffe-rfcn: softmax_loss_layer.cpp"


@dataclass(frozen=True)
class OHEMSpec(LabelsSpec):
    """Of SoftmaxWithLossOHEM; ``pre_fixed_normalizer`` is for the normalization PRE_FIXED."""

    pre_fixed_normalizer: float = 1


_FIELDS = ("loss_param.normalization", "loss_param.pre_fixed_normalizer")


def _of_labels(name: str, source: str, dialect: Dialect, fields: tuple[str, ...]) -> Callable[[B], B]:
    """Register a class as a loss of labels that tells each one's."""
    return layer(
        name,
        source=source,
        dialect=dialect,
        fields=fields,
        role="loss",
        bottoms=(2, 2),
        tops=(0, 3),
        labels=(1,),
        scores_classes=True,
        probabilities="Softmax",
        macs=free,
    )


@_of_labels(
    "SoftmaxWithLossOHEM",
    "intel/caffe: softmax_loss_ohem_layer.cpp",
    Dialect("intel", is_default=True),
    _FIELDS,
)
class SoftmaxWithLossOHEM(SoftmaxWithLoss):
    """SoftmaxWithLoss with a third top, the loss of each label, which has no gradient; 0 of one that is
    ignored. PRE_FIXED divides by ``pre_fixed_normalizer``. Intel's CPU code sums as many losses, from the
    first, as labels are not ignored, though those that are have a place among them, too: the last are left
    out. Their gradients are not. With three tops the second, which would be the softmax, is left empty.
    """

    spec: OHEMSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        spec, fixed = self.spec, message.loss_param.pre_fixed_normalizer
        self.spec = OHEMSpec(spec.axis, spec.normalization, spec.ignore_label, fixed)
        self.count = len(message.top)

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Scores (N, K, …) and labels (N, …) to a scalar, and (N, K, …), and the labels' shape."""
        each = self._each(x, label)
        losses = torch.where(each.valid, each.loss, 0.0)
        loss = self._sum(losses, each.valid) / self._normaliser(x, each.valid)
        tops = loss, self._second(each.logs.detach()), losses.detach().reshape(label.shape)
        return tops[: self.count] if self.count > 1 else loss

    def _sum(self, losses: Tensor, valid: Tensor) -> Tensor:
        place = torch.arange(losses.numel(), device=losses.device)
        return losses.sum() - (losses.detach().flatten() * (place >= valid.sum())).sum()

    def _second(self, logs: Tensor) -> Tensor:
        return torch.zeros_like(logs) if self.count > 2 else logs.exp()

    def _normaliser(self, x: Tensor, valid: Tensor) -> Tensor | float:
        if self.spec.normalization == "PRE_FIXED":
            return max(self.spec.pre_fixed_normalizer, 1.0)
        return super()._normaliser(x, valid)


@_of_labels("SoftmaxWithLoss", _RFCN, Dialect("rfcn", also=("r-fcn",), needs_field=True), ())
@_of_labels("SoftmaxWithLossOHEM", _RFCN, Dialect("rfcn", also=("r-fcn",), needs_field=True), _FIELDS)
class RfcnSoftmaxWithLoss(SoftmaxWithLossOHEM):
    """As its CUDA code has it: every loss counts, and the second top is the softmax."""

    def _sum(self, losses: Tensor, valid: Tensor) -> Tensor:
        return losses.sum()

    def _second(self, logs: Tensor) -> Tensor:
        return logs.exp()


@dataclass(frozen=True)
class BoxAnnotatorSpec(Spec):
    """Of BoxAnnotatorOHEM."""

    roi_per_img: int
    ignore_label: int = -1


@layer(
    "BoxAnnotatorOHEM",
    source="daijifeng001/caffe-rfcn: box_annotator_ohem_layer.cpp",
    bottoms=(4, 4),
    tops=(2, 2),
    macs=free,
    fields=("box_annotator_ohem_param",),
    refuses_export=lambda module, bottoms: "picks what is learned from: a net that is deployed has none",
)
class BoxAnnotatorOHEM(Layer):
    """Of each image the ``roi_per_img`` rois with the greatest losses keep their labels and the weights of
    their boxes; the others' labels become ``ignore_label``, their weights 0. Nothing has a gradient. Which of
    equal losses comes first is the first here, and up to std::sort in the fork.
    """

    spec: BoxAnnotatorSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.box_annotator_ohem_param
        positive(message, roi_per_img=param.roi_per_img)
        self.spec = BoxAnnotatorSpec(param.roi_per_img, param.ignore_label)
        rest = [(*shape, 1, 1, 1)[2:4] for shape in bottoms]
        if len({(shape[0], *sides) for shape, sides in zip(bottoms, rest, strict=True)}) != 1:
            listed = ", ".join(str(tuple(shape)) for shape in bottoms)
            raise InputError(f"bottoms differ in num, height or width: {listed}", message.name)
        channels = [(*shape, 1)[1] for shape in bottoms[:3]]
        if channels != [5, 1, 1]:
            raise InputError(f"takes rois of 5 values, one loss and one label, not {channels}", message.name)

    def forward(self, rois: Tensor, loss: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(R, 5, …), (R, 1, …), (R, 1, …), (R, K, …) to labels (R, 1, H, W) and weights (R, K, H, W)."""
        rois, loss, labels, weights = (four_axes(x.detach()) for x in (rois, loss, labels, weights))
        image = rois[:, :1].long().flatten()
        is_kept = (ranks(image, loss.flatten()) < self.spec.roi_per_img).reshape(labels.shape)
        return torch.where(is_kept, labels, self.spec.ignore_label), torch.where(is_kept, weights, 0)
