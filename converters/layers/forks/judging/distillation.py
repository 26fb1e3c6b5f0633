"""KnowledgeDistillation, a loss though its type does not say so: of a student's scores by a teacher's."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis
from converters.layers.judging.labels import (
    LEAST_LOG,
    LOSS_TOPS,
    LabelsSpec,
    ignored_label,
    normaliser,
    normalization,
    not_ignored,
    one_number,
)
from converters.layers.judging.losses import check_one_size
from converters.layers.parts.gradient import with_slope
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class DistillationSpec(LabelsSpec):
    """Of KnowledgeDistillation."""

    temperature: float = 1.0


@layer(
    "KnowledgeDistillation",
    source="longpeng2008/Caffe_Long: knowledge_distillation_layer.cpp",
    role="loss",
    bottoms=(2, 3),
    tops=LOSS_TOPS,
    most=one_number,
    labels=(1, 2),
    fatal=(1, 2),
    fields=("knowledge_distillation_param",),
    macs=free,
)
class KnowledgeDistillation(Layer):
    """How far p, the softmax of the student's scores over ``temperature``, is from q, that of the teacher's:
    the sum of q·(log q - log p), divided as SoftmaxWithLoss is, and not times the temperature's square. Where
    a third bottom is ``ignore_label`` (there are both or neither) a position does not count.

    The gradient is the fork's, temperature·(p - q): the derivative times the temperature's square.
    """

    spec: DistillationSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param, scores = message.loss_param, bottoms[0]
        axis = canonical_axis(message, message.softmax_param.axis, len(scores))
        _check_teacher(message, bottoms, axis)
        _check_labels(message, bottoms, scores.numel() // max(scores[axis], 1))
        temperature = message.knowledge_distillation_param.temperature
        self.spec = DistillationSpec(axis, normalization(param), ignored_label(param), temperature)

    def forward(self, student: Tensor, teacher: Tensor, label: Tensor | None = None) -> Tensor:
        """Scores (N, K, …) twice, and labels (N, …), to a scalar."""
        axis, heat = self.spec.axis, self.spec.temperature
        # In float64, for where the two are near each other the sum is what is left of far greater numbers.
        logs = F.log_softmax(student.detach().double() / heat, axis)
        goals = F.log_softmax(teacher.detach().double().reshape(student.shape) / heat, axis)
        p, q = logs.exp(), goals.exp()
        valid = self._counts(logs.select(axis, 0), label)
        norm, counts = self._normaliser(student, valid), valid.unsqueeze(axis)
        apart = q * (goals.clamp(min=LEAST_LOG) - logs.clamp(min=LEAST_LOG))
        loss = torch.where(counts, apart, 0.0).sum() / norm
        slope = torch.where(counts, heat * (p - q), 0.0) / norm
        return with_slope(student, loss.to(student.dtype), slope.to(student.dtype))

    def _counts(self, position: Tensor, label: Tensor | None) -> Tensor:
        """Which positions count, as a mask (N, …)."""
        if label is None:
            return torch.ones_like(position, dtype=torch.bool)
        return not_ignored(label.detach().reshape(position.shape), self.spec.ignore_label)

    def _normaliser(self, x: Tensor, valid: Tensor) -> Tensor | float:
        return normaliser(self.spec.normalization, math.prod(x.shape[: self.spec.axis]), valid)


def _check_teacher(message: LayerParameter, bottoms: Shapes, axis: int) -> None:
    """Raise InputError unless both bottoms have as many scores, and as many before and behind ``axis``."""
    check_one_size(message, bottoms)
    student, teacher = ((shape[:axis].numel(), shape[axis + 1 :].numel()) for shape in bottoms[:2])
    if student != teacher:
        shapes = " and ".join(str(tuple(shape)) for shape in bottoms[:2])
        raise InputError(f"bottoms differ around axis {axis}: {shapes}", message.name)


def _check_labels(message: LayerParameter, bottoms: Shapes, positions: int) -> None:
    """Raise InputError unless there is a label a position and an ignore_label, or neither."""
    has_labels = len(bottoms) > 2
    if has_labels != message.loss_param.HasField("ignore_label"):
        there = "a third bottom without ignore_label" if has_labels else "ignore_label without a third bottom"
        raise InputError(f"has {there}, and takes both or neither", message.name)
    if has_labels and bottoms[2].numel() != positions:
        raise InputError(f"{bottoms[2].numel()} labels for {positions} positions", message.name)
