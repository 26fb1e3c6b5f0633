"""The probability of labels under scores over time (connectionist temporal classification)."""

from typing import NamedTuple

import torch
from torch import Tensor

_NEVER = -1e30  # the logarithm of what cannot be: finite, so that its gradient is 0 and not NaN


class Sequences(NamedTuple):
    """Scores (T, N, K) of which the first ``times`` (N,) count, and labels (N, L) of which the first
    ``lengths`` (N,) do; ``blank`` is the class that says no label.
    """

    scores: Tensor
    times: Tensor
    labels: Tensor
    lengths: Tensor
    blank: int


def packed(labels: Tensor, counts: Tensor) -> Tensor:
    """The labels (N, L) that count before those that do not, each row in its order."""
    return labels.gather(1, (~counts).to(torch.uint8).argsort(dim=1, stable=True))


def log_softmax(scores: Tensor) -> Tensor:
    """In float32 at least, which torch's own operators ask for."""
    return (scores if scores.dtype == torch.float64 else scores.float()).log_softmax(2)


@torch.no_grad()
def losses(of: Sequences, needs_slope: bool) -> tuple[Tensor, Tensor]:
    """-log of the probability, by a softmax, of each sequence's labels, (N,), repeated ones merged where no
    blank is between them; and its gradient to the scores, (T, N, K), zeros where it is not needed. A sequence
    too short for its labels has an infinite loss, and the softmax for its gradient.

    Of the classes only a sequence's own labels and the blank matter to the sum over all ways, which is taken
    in double precision: over many steps float32 loses four digits.
    """
    logs = log_softmax(of.scores)
    columns = torch.cat([torch.full_like(of.labels[:, :1], of.blank), of.labels], 1).expand(len(logs), -1, -1)
    own = logs.gather(2, columns).double()
    names = (of.labels.unsqueeze(2) == of.labels.unsqueeze(1)).to(torch.uint8).argmax(2) + 1
    each, slope = _ctc(own, names, of.times, of.lengths, needs_slope)
    if not needs_slope:
        return each, torch.zeros_like(logs)
    within = torch.arange(len(logs), device=logs.device)[:, None] < of.times
    share = torch.where((within & ~each.isinf()).unsqueeze(2), own.exp() - slope, 0.0)
    softmax = torch.where(within.unsqueeze(2), logs.exp(), 0.0)
    return each, softmax.scatter_add(2, columns, -share.to(logs.dtype))


@torch.library.custom_op("caffezoo::ctc", mutates_args=())
def _ctc(
    logs: Tensor, labels: Tensor, times: Tensor, lengths: Tensor, needs_slope: bool
) -> tuple[Tensor, Tensor]:
    """torch's own, as an operator whose shapes are known beforehand, so that a net with it compiles: the
    losses, and exp(logs) less the share of each class in each step. The blank is class 0.
    """
    each, alpha = torch.ops.aten._ctc_loss.Tensor(logs, labels, times, lengths, 0, True)
    if not needs_slope:
        return each, torch.zeros_like(logs)
    slope = torch.ops.aten._ctc_loss_backward.Tensor(
        torch.ones_like(each), logs, labels, times, lengths, each, alpha, 0, True
    )
    return each, slope


@_ctc.register_fake
def _shapes(
    logs: Tensor, labels: Tensor, times: Tensor, lengths: Tensor, needs_slope: bool
) -> tuple[Tensor, Tensor]:
    return logs.new_empty(logs.shape[1]), torch.empty_like(logs)


def losses_without_merging(of: Sequences) -> Tensor:
    """The same, (N,), where each label is said in one step and never goes on into the next: the sum over all
    choices of a step a label, blanks between. Gradients flow.
    """
    logs = log_softmax(of.scores)
    blanks = logs[:, :, of.blank]
    said = logs.gather(2, of.labels.expand(len(logs), -1, -1))
    states = torch.full_like(said[0], _NEVER)
    states = torch.cat([torch.zeros_like(states[:, :1]), states], 1)  # how many labels were said
    for time in range(len(logs)):
        stays = states + blanks[time, :, None]
        goes = torch.cat([torch.full_like(states[:, :1], _NEVER), states[:, :-1] + said[time]], 1)
        moved = torch.logaddexp(stays, goes)
        states = torch.where((time < of.times)[:, None], moved, states)
    return -states.gather(1, of.lengths[:, None]).squeeze(1)
