"""What a classifier said of each photograph, from its scores."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.metrics import is_top


@dataclass(frozen=True)
class Answers:
    """One entry a photograph: the class named, whether the true one is among the first five, the
    probabilities of the class named and of the true one.
    """

    predictions: list[int]
    in_top5: list[bool]
    confidence: list[float]
    probability: list[float]

    def __add__(self, later: "Answers") -> "Answers":
        """These photographs and then ``later`` ones."""
        return Answers(
            self.predictions + later.predictions,
            self.in_top5 + later.in_top5,
            self.confidence + later.confidence,
            self.probability + later.probability,
        )


def judge(scores: Tensor, labels: Tensor) -> Answers:
    """(N, K) scores, before or after a softmax, and (N,) whole labels to answers.

    Ties count against the label, as in Caffe's Accuracy layer: of equal best scores another class than
    the true one is named. Top 5 is capped at the number of classes.
    """
    probability = scores if _is_distribution(scores) else torch.softmax(scores.double(), 1)
    others = scores.scatter(1, labels[:, None], -torch.inf).argmax(1)
    named = torch.where(is_top(scores, labels, 1), labels, others)
    return Answers(
        named.tolist(),
        is_top(scores, labels, min(5, scores.shape[1])).tolist(),
        probability.gather(1, named[:, None])[:, 0].tolist(),
        probability.gather(1, labels[:, None])[:, 0].tolist(),
    )


def _is_distribution(scores: Tensor) -> bool:
    """Whether the net ends in a softmax of its own."""
    return bool((scores >= 0).all() and torch.allclose(scores.sum(1), torch.ones(len(scores)), atol=1e-4))
