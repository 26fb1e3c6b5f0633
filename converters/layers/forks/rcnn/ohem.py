"""Online hard example mining of R-FCN: the loss of every roi, and which rois are learned from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import positive
from converters.layers.judging.softmax import LabelsSpec, SoftmaxWithLoss
from converters.layers.parts.legacy_axes import four_axes
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class OHEMSpec(LabelsSpec):
    """Of SoftmaxWithLossOHEM; ``pre_fixed_normalizer`` is for the normalization PRE_FIXED."""

    pre_fixed_normalizer: float = 1


@layer(
    "SoftmaxWithLossOHEM",
    source="daijifeng001/caffe-rfcn: softmax_loss_ohem_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=(0, 3),
    labels=(1,),
    scores_classes=True,
    probabilities="Softmax",
    macs=free,
    fields=("loss_param.normalization", "loss_param.pre_fixed_normalizer"),
)
class SoftmaxWithLossOHEM(SoftmaxWithLoss):
    """SoftmaxWithLoss with a third top, the loss of each label, which has no gradient; 0 of one that is
    ignored. PRE_FIXED divides by ``pre_fixed_normalizer``. (Intel's CPU code leaves as many losses at the end
    out of the sum as labels are ignored, and with three tops leaves the second empty; this is R-FCN's rule.)
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
        loss = losses.sum() / self._normaliser(x, each.valid)
        tops = loss, each.logs.detach().exp(), losses.detach().reshape(label.shape)
        return tops[: self.count] if self.count > 1 else loss

    def _normaliser(self, x: Tensor, valid: Tensor) -> Tensor | float:
        if self.spec.normalization == "PRE_FIXED":
            return max(self.spec.pre_fixed_normalizer, 1.0)
        return super()._normaliser(x, valid)


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
        order = loss.flatten().argsort(descending=True, stable=True)
        order = order[image[order].argsort(stable=True)]  # image by image, the greatest loss first
        sorted_image = image[order]
        rank = torch.arange(len(order), device=order.device) - torch.searchsorted(sorted_image, sorted_image)
        is_kept = torch.zeros_like(image, dtype=torch.bool).scatter(0, order, rank < self.spec.roi_per_img)
        is_kept = is_kept.reshape(labels.shape)
        return torch.where(is_kept, labels, self.spec.ignore_label), torch.where(is_kept, weights, 0)
