"""Softmax and the losses of class probabilities."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from google.protobuf.message import DecodeError
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.host.places import find
from converters.layers.base import Layer
from converters.layers.checks import canonical_axis
from converters.layers.judging.labels import LOSS_TOPS, OfLabels, capped, sample_labels
from converters.layers.parts.gradient import with_slope
from converters.layers.parts.grid import same_grid
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import BlobProto, LayerParameter
from prototxt.errors import InputError

_LEAST = 1e-20  # kLOG_THRESHOLD: the least probability whose logarithm is taken


@dataclass(frozen=True)
class SoftmaxSpec(Spec):
    """Of Softmax."""

    axis: int = 1


@layer("Softmax", source="softmax_layer.cpp", macs=free, backward_reads="top", mixes=True, grid=same_grid)
class Softmax(Layer, nn.Softmax):
    """exp(x) / sum exp(x) along ``axis`` (softmax_layer.cpp)."""

    spec: SoftmaxSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        axis = canonical_axis(message, message.softmax_param.axis, len(bottoms[0]))
        super().__init__(axis)
        self.spec = SoftmaxSpec(axis)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return F.softmax(x, self.spec.axis)


def _loss_and_softmax(module: Layer, bottoms: Shapes) -> Shapes:
    return [torch.Size(()), bottoms[0]][: 2 if module.has_softmax else 1]


class Positions(NamedTuple):
    """The loss of each position, its label (0 where it does not count), whether it counts, each (N, …), and
    the logarithms of the probabilities (N, K, …).
    """

    loss: Tensor
    target: Tensor
    valid: Tensor
    logs: Tensor


@layer(
    "SoftmaxWithLoss",
    source="softmax_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=(0, 2),
    labels=(1,),
    fatal=(1,),
    scores_classes=True,
    probabilities="Softmax",
    macs=free,
    most=_loss_and_softmax,
)
class SoftmaxWithLoss(OfLabels):
    """Multinomial logistic loss of softmax(x) against integer labels; a second top is the softmax.

    The loss of one position is at most -log(FLT_MIN), while its gradient stays softmax - one-hot
    (softmax_loss_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms, message.softmax_param.axis)

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Scores (N, K, …) and labels (N, …) to a scalar."""
        each = self._each(x, label)
        loss = torch.where(each.valid, each.loss, 0.0).sum() / self._normaliser(x, each.valid)
        return (loss, each.logs.detach().exp()) if self.has_softmax else loss

    def _each(self, x: Tensor, label: Tensor) -> Positions:
        logs = F.log_softmax(x, self.spec.axis)
        target, valid = self._targets(x, label)
        each = -logs.gather(self.spec.axis, target.unsqueeze(self.spec.axis)).squeeze(self.spec.axis)
        return Positions(capped(each), target, valid, logs)


@layer(
    "InfogainLoss",
    source="infogain_loss_layer.cpp",
    role="loss",
    bottoms=(2, 3),
    tops=(0, 2),
    labels=(1, 2),
    fatal=(1,),
    macs=free,
)
class InfogainLoss(OfLabels):
    """Sum over classes of -H[label, class]·log softmax(x), H being the third bottom or the blob in the
    file ``source``; a second top is the softmax (infogain_loss_layer.cpp).

    A probability counts as at least 1e-20 in the loss and as it is in the gradient.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms, message.infogain_loss_param.axis)
        classes = bottoms[0][self.spec.axis]
        self.matrix = None if len(bottoms) == 3 else _read_matrix(message)
        count = bottoms[2].numel() if self.matrix is None else self.matrix.numel()
        if count != classes * classes:
            raise InputError(f"the infogain matrix has {count} values, not {classes}²", message.name)

    def forward(
        self, x: Tensor, label: Tensor, matrix: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Scores (N, K, …), labels (N, …) and K² values to a scalar."""
        chosen = matrix if matrix is not None else self.matrix
        assert chosen is not None
        classes = x.shape[self.spec.axis]
        table = chosen.detach().to(x).reshape(classes, classes)
        softmax = F.softmax(x.detach(), self.spec.axis)
        target, valid = self._targets(x, label)
        rows = (table[target] * valid.unsqueeze(-1)).movedim(-1, self.spec.axis)
        norm = self._normaliser(x, valid)
        loss = -(rows * softmax.clamp(min=_LEAST).log()).sum() / norm
        slope = (softmax * rows.sum(self.spec.axis, keepdim=True) - rows) / norm
        top = with_slope(x, loss, slope)
        return (top, softmax) if self.has_softmax else top


def _read_matrix(message: LayerParameter) -> Tensor:
    """The blob that ``source`` holds, as a flat tensor."""
    if not message.infogain_loss_param.HasField("source"):
        raise InputError("needs a third bottom, or infogain_loss_param { source }", message.name)
    path = find(message.infogain_loss_param.source)
    try:
        blob = BlobProto.FromString(path.read_bytes())
    except OSError as error:
        raise InputError(f"source {path}: {error.strerror}", message.name) from None
    except DecodeError:
        raise InputError(f"source {path} is no binaryproto of a blob", message.name) from None
    return torch.tensor(blob.double_data or blob.data, dtype=torch.float32, device="cpu")


@layer(
    "MultinomialLogisticLoss",
    source="multinomial_logistic_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    labels=(1,),
    fatal=(1,),
    macs=free,
)
class MultinomialLogisticLoss(Layer):
    """The mean of -log p[label] of given probabilities, which count as at least 1e-20, forward and
    backward (multinomial_logistic_loss_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.index = sample_labels(message, bottoms)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Probabilities (N, K, …) and labels (N,) to a scalar."""
        each = x.flatten(1)
        picked = each.gather(1, self.index(label, each.shape[1]).reshape(-1, 1))
        probability = picked.detach().clamp(min=_LEAST)
        return with_slope(picked, -probability.log().sum() / len(x), -1 / (probability * len(x)))
