"""What losses read beside scores: labels, which of them count, and what the loss is divided by."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, check_first_axes
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter, LossParameter
from prototxt.errors import InputError

LOSS_TOPS = (0, 1)  # a loss layer may leave its top out (LossLayer::AutoTopBlobs)
LEAST_LOG = math.log(torch.finfo(torch.float32).tiny)  # the logarithm of Caffe's least probability, FLT_MIN


def one_number(module: Layer, bottoms: Shapes) -> Shapes:
    """The shape of a loss."""
    return [torch.Size(())]


def ignored_label(param: LossParameter) -> int | None:
    """The label that does not count, if one is set."""
    return param.ignore_label if param.HasField("ignore_label") else None


def not_ignored(labels: Tensor, ignore: int | None) -> Tensor:
    """Which labels count, as a mask: those whose whole part is not ``ignore``, where there is one."""
    if ignore is None:
        return torch.ones_like(labels, dtype=torch.bool)
    return labels.long() != ignore


def normalization(param: LossParameter, default: str = "VALID") -> str:
    """The mode in force: the older ``normalize`` speaks only where ``normalization`` is not given."""
    if param.HasField("normalization"):
        return LossParameter.NormalizationMode.Name(param.normalization)
    if param.HasField("normalize"):
        return "VALID" if param.normalize else "BATCH_SIZE"
    return default


def normaliser(mode: str, outer: int, valid: Tensor) -> Tensor | float:
    """What a summed loss is divided by, at least 1 (softmax_loss_layer.cpp, get_normalizer).

    ``outer``: the positions before the class axis; ``valid``: which positions count, as a mask.
    """
    if mode == "NONE":
        return 1.0
    if mode == "BATCH_SIZE":
        return float(outer)
    if mode == "FULL":
        return float(valid.numel())
    return valid.sum().clamp(min=1)


def check_label_blob(message: LayerParameter, bottoms: Shapes, axis: int) -> None:
    """Raise InputError unless there is one label for every position of the scores."""
    scores, labels = bottoms[0], bottoms[1]
    if scores.numel() != labels.numel() * scores[axis]:
        raise InputError(f"scores {tuple(scores)} and labels {tuple(labels)} do not match", message.name)


def sample_labels(message: LayerParameter, bottoms: Shapes) -> Index:
    """What reads the labels of a loss that takes one a sample. Raises InputError for another number."""
    check_first_axes(message, bottoms)
    if bottoms[1].numel() != bottoms[1][0]:
        raise InputError(f"takes one label a sample, not {tuple(bottoms[1])}", message.name)
    return Index(message, "label", bottom=1)


def capped(losses: Tensor) -> Tensor:
    """Losses at most as great as that of the least probability; their gradient stays."""
    return torch.where(losses > -LEAST_LOG, losses - losses.detach() - LEAST_LOG, losses)


@dataclass(frozen=True)
class LabelsSpec(Spec):
    """Of the losses of a softmax."""

    axis: int = 1
    normalization: str = "VALID"
    ignore_label: int | None = None


class OfLabels(Layer):
    """What the losses of a softmax share: one label for each position of the scores."""

    spec: LabelsSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes, axis: int) -> None:
        super().__init__()
        check_first_axes(message, bottoms)
        axis, param = canonical_axis(message, axis, len(bottoms[0])), message.loss_param
        check_label_blob(message, bottoms, axis)
        self.spec = LabelsSpec(axis, normalization(param), ignored_label(param))
        self.index = Index(message, "label", bottom=1)
        self.has_softmax = len(message.top) > 1

    def _targets(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(labels, those that do not count as 0; which count), each (N, …) without the class axis."""
        target = self.index(label, x.shape[self.spec.axis], self.spec.ignore_label)
        target = target.reshape(x.shape[: self.spec.axis] + x.shape[self.spec.axis + 1 :])
        valid = not_ignored(target, self.spec.ignore_label)
        return torch.where(valid, target, 0), valid

    def _normaliser(self, x: Tensor, valid: Tensor) -> Tensor | float:
        return normaliser(self.spec.normalization, math.prod(x.shape[: self.spec.axis]), valid)
