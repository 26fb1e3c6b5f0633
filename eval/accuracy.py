"""How often an ONNX classifier is right, and what it said of each photograph."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.layers.judging.metrics import is_top
from prototxt.errors import InputError, first_line


@dataclass(frozen=True)
class TopShares:
    """Shares of ``images`` with the label among the first and the first five scores; None of a net of five
    classes or fewer, among whose first five every label is.
    """

    top1: float
    top5: float | None
    images: int


def accuracy(session: Any, batches: Iterable[tuple[Tensor, Tensor]], softmax: bool = False) -> TopShares:
    """Run (N, C, H, W) data and (N,) labels through an onnxruntime session's first output; data may be
    (N·crops, C, H, W), and an image's scores are :func:`averaged` then.

    Ties are judged as Caffe's Accuracy layer judges them. Raises InputError as :func:`run_scores` does.
    """
    first, in_top5, images = 0, list[bool](), 0
    for data, labels in batches:
        scores = averaged(run_scores(session, data), len(labels), softmax)
        first += int(is_top(scores, labels.long(), 1).sum())
        in_top5 += _in_top5(scores, labels.long())
        images += len(labels)
    return TopShares(first / images, sum(in_top5) / images if in_top5 else None, images)


def _in_top5(scores: Tensor, labels: Tensor) -> list[bool]:
    """Whether each label is among the first five scores; empty where there are no more than five."""
    return is_top(scores, labels, 5).tolist() if scores.shape[1] > 5 else []


def averaged(scores: Tensor, images: int, softmax: bool = False) -> Tensor:
    """(N·crops, K) scores, an image's crops one after another, as (N, K): their mean, as pycaffe's Classifier
    takes it (classifier.py, ``predict``), of their ``softmax`` where the deploy net would end in one.
    """
    if len(scores) == images:
        return scores
    each = scores.softmax(1) if softmax else scores
    return each.reshape(images, -1, scores.shape[1]).mean(1)


def run_scores(session: Any, data: Tensor) -> Tensor:
    """:func:`run_outputs` as (N, K): axes behind the classes, as a head of convolutions has them, go."""
    return run_outputs(session, data).flatten(1)


def run_outputs(session: Any, data: Tensor) -> Tensor:
    """The first output of an onnxruntime session for (N, C, H, W) data, (N, …). Raises as :func:`finite`.

    A model of one batch size gets the data in parts, the last one filled up.
    """
    feed, images = session.get_inputs()[0], data.contiguous().numpy()
    size = feed.shape[0] if isinstance(feed.shape[0], int) else len(images)
    filled = np.concatenate([images, np.repeat(images[-1:], -len(images) % size, axis=0)])
    parts = [filled[at : at + size] for at in range(0, len(filled), size)]
    try:
        scores = np.concatenate([session.run(None, {feed.name: part})[0] for part in parts])
    except Exception as error:
        shape = "×".join(map(str, data.shape[1:]))
        raise InputError(f"onnxruntime cannot run the model on {shape}: {first_line(error)}") from None
    return finite(torch.from_numpy(scores[: len(images)]))


def finite(scores: Tensor) -> Tensor:
    """The scores. Raises InputError where one is not finite, since such scores would count as right."""
    if not torch.isfinite(scores).all():
        raise InputError("the model's scores are not finite")
    return scores


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95% interval of a share of ``count`` trials, within 0 and 1 (E. B. Wilson, 1927)."""
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    low, high = ((centre + end) / (1 + z * z / count) for end in (-spread, spread))
    return max(0.0, min(low, share)), min(1.0, max(high, share))  # rounding leaves −3.1e-17 of 0 in 5


@dataclass(frozen=True)
class Answers:
    """One entry a photograph: the class named, whether the true one is among the first five (none where
    there are no more classes), the probabilities of the class named and of the true one.
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
    the true one is named.
    """
    probability = scores if _is_distribution(scores) else torch.softmax(scores.double(), 1)
    others = scores.scatter(1, labels[:, None], -torch.inf).argmax(1)
    named = torch.where(is_top(scores, labels, 1), labels, others)
    return Answers(
        named.tolist(),
        _in_top5(scores, labels),
        probability.gather(1, named[:, None])[:, 0].tolist(),
        probability.gather(1, labels[:, None])[:, 0].tolist(),
    )


def _is_distribution(scores: Tensor) -> bool:
    """Whether the net ends in a softmax of its own."""
    return bool((scores >= 0).all() and torch.allclose(scores.sum(1), torch.ones(len(scores)), atol=1e-4))
