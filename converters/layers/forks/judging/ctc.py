"""Connectionist temporal classification as two forks have it, and the marks of where sequences begin."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer, Placed
from converters.layers.checks import positive
from converters.layers.judging.labels import LOSS_TOPS
from converters.layers.parts.ctc import Sequences, losses, losses_without_merging, packed
from converters.layers.parts.gradient import asks_gradient, with_gradient, with_slope
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


def _scalar(module: Layer, bottoms: Shapes) -> Shapes:
    return [torch.Size()]


@dataclass(frozen=True)
class WarpSpec(Spec):
    """Of CtcLoss."""

    alphabet_size: int
    time_step: int
    blank_label: int = 0


@layer(
    "CtcLoss",
    source="xmfbit/warpctc-caffe: ctc_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    labels=(1,),
    fields=("ctc_loss_param",),
    macs=free,
    most=_scalar,
)
class CtcLoss(Layer):
    """The mean over the batch of -log of the probability, by a softmax, of all ways to say a row of labels,
    but for its blanks, in ``time_step`` steps. A row too long for them adds nothing. The fork's gradient
    is that of the sum and not of the mean.
    """

    spec: WarpSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param, (scores, labels) = message.ctc_loss_param, bottoms
        positive(message, alphabet_size=param.alphabet_size, time_step=param.time_step)
        self.spec = WarpSpec(param.alphabet_size, param.time_step, param.blank_label)
        if not 0 <= param.blank_label < param.alphabet_size:
            reason = f"blank_label {param.blank_label} is none of {param.alphabet_size} classes"
            raise InputError(reason, message.name)
        if len(scores) < 3 or scores[2:].numel() != param.alphabet_size or scores[0] < param.time_step:
            wanted = f"({param.time_step}, N, {param.alphabet_size})"
            raise InputError(f"scores {tuple(scores)} are not {wanted}", message.name)
        if len(labels) < 2 or labels[0] != scores[1]:
            raise InputError(f"labels {tuple(labels)} are not ({scores[1]}, L)", message.name)
        self.index = Index(message, "label", bottom=1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Scores (T, N, alphabet_size) and labels (N, L), filled up with blanks, to a scalar."""
        steps, blank = self.spec.time_step, self.spec.blank_label
        rows = self.index(labels.flatten(1), self.spec.alphabet_size)
        counts, scores = rows != blank, x.flatten(2)[:steps]
        times = torch.full((len(rows),), steps, dtype=torch.long, device=x.device)
        of = Sequences(scores, times, packed(rows, counts), counts.sum(1), blank)
        each, slope = losses(of, asks_gradient(x))
        never = each.isinf()
        loss, slope = torch.where(never, 0.0, each).mean(), torch.where(never[:, None], 0.0, slope)
        return with_slope(scores, loss.to(x.dtype), slope.to(x.dtype))


@dataclass(frozen=True)
class UberSpec(Spec):
    """Of CTCLoss."""

    blank_index: int
    output_delay: int = 0
    preprocess_collapse_repeated: bool = False
    ctc_merge_repeated: bool = True


@layer(
    "CTCLoss",
    source="uber-archive/caffe: ctc_loss_layer.cpp",
    role="loss",
    bottoms=(3, 3),
    tops=LOSS_TOPS,
    labels=(1, 2),
    fields=("ctc_loss_param",),
    macs=free,
    most=_scalar,
)
class CTCLoss(Layer):
    """The mean over the batch of -log of the probability, by a softmax, of each column of labels. A sequence
    ends where its marks, 1 in all steps but the first, are 0 again, and labels end where one is below 0; the
    last class is none. ``blank_index`` below 0 is the last class. ``output_delay`` leaves out the first
    steps, ``preprocess_collapse_repeated`` labels that repeat the one before; with ``ctc_merge_repeated:
    false`` a label is said in one step alone. ``loss_calculation_t`` changes nothing.

    The fork's gradient is that of the sum and not of the mean, whatever the loss weighs. Labels that cannot
    be said have an infinite loss, and the gradient to say blanks and labels less: the softmax.
    """

    spec: UberSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param, scores = message.ctc_loss_param, bottoms[0]
        if len(scores) not in (3, 4) or scores[3:].numel() != 1:
            raise InputError(f"takes scores (T, N, K), not {tuple(scores)}", message.name)
        if any(shape[:2] != scores[:2] or shape.numel() != scores[:2].numel() for shape in bottoms[1:]):
            raise InputError(f"marks and labels are not {tuple(scores[:2])}", message.name)
        blank = param.blank_index if param.blank_index >= 0 else scores[2] - 1
        if blank >= scores[2] or not 0 <= param.output_delay < scores[0]:
            numbers = f"blank_index {param.blank_index} and output_delay {param.output_delay}"
            raise InputError(f"{numbers} do not fit scores {tuple(scores)}", message.name)
        self.spec = UberSpec(
            blank, param.output_delay, param.preprocess_collapse_repeated, param.ctc_merge_repeated
        )

    def forward(self, x: Tensor, marks: Tensor, labels: Tensor) -> Tensor:
        """Scores (T, N, K), marks (T, N) and labels (T, N) to a scalar."""
        of = self._sequences(x.flatten(2), marks.detach().flatten(1), labels.detach().flatten(1))
        total = self._merged(of) if self.spec.ctc_merge_repeated else losses_without_merging(of).sum()
        total = total.to(x.dtype)
        return with_gradient(total, total / x.shape[1], torch.ones_like(total))

    def _sequences(self, scores: Tensor, marks: Tensor, labels: Tensor) -> Sequences:
        delay, classes = self.spec.output_delay, scores.shape[2]
        begins = (marks + 0.5).long() == 0
        begins[0] = False
        times = _first(begins) - delay
        counts = torch.arange(len(labels), device=labels.device)[:, None] < _first(labels < 0)
        if self.spec.preprocess_collapse_repeated:
            counts[1:] &= labels[1:] != labels[:-1]
        rows = (labels + 0.5).long()
        counts &= rows < classes - 1
        rows, counts = torch.where(counts, rows, 0).T, counts.T
        return Sequences(scores[delay:], times, packed(rows, counts), counts.sum(1), self.spec.blank_index)

    def _merged(self, of: Sequences) -> Tensor:
        each, slope = losses(of, asks_gradient(of.scores))
        return with_slope(of.scores, each.sum().to(of.scores.dtype), slope.to(of.scores.dtype))


def _first(mask: Tensor) -> Tensor:
    """The first row of each column that is so, (R, N) to (N,); R where none is."""
    last = torch.ones_like(mask[:1])
    return torch.cat([mask, last]).to(torch.uint8).argmax(0)


@dataclass(frozen=True)
class ContinuationSpec(Spec):
    """Of ContinuationIndicator."""

    time_step: int
    batch_size: int
    flag: bool = False


@layer(
    "ContinuationIndicator",
    source="xmfbit/warpctc-caffe: continuation_indicator_layer.cpp",
    bottoms=(0, 1),
    fields=("continuation_indicator_param",),
    macs=free,
)
class ContinuationIndicator(Placed):
    """What a recurrent layer takes for its marks: 0 at the first of ``time_step`` steps, 1 at the others.
    With ``flag``, or for items whose number in the bottom is 1 (within 0.01), 1 at the first too: those are
    video-caffe's.
    """

    spec: ContinuationSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.continuation_indicator_param
        positive(message, time_step=param.time_step, batch_size=param.batch_size)
        if bottoms and bottoms[0].numel() < param.batch_size:
            raise InputError(f"{bottoms[0].numel()} numbers for {param.batch_size} items", message.name)
        self.spec = ContinuationSpec(param.time_step, param.batch_size, param.flag)

    def forward(self, x: Tensor | None = None) -> Tensor:
        """Nothing, or a number an item, to (time_step, batch_size)."""
        steps, items = self.spec.time_step, self.spec.batch_size
        marks = self.place.new_ones(steps, items)
        if self.spec.flag:
            return marks
        first = torch.arange(steps, device=marks.device)[:, None] == 0
        begins = first.expand(steps, items)
        if x is not None:
            begins = begins & ((x.detach().flatten()[:items] - 1).abs() > 0.01)
        return torch.where(begins, 0.0, marks)
