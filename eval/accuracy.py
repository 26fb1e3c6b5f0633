"""How often an ONNX classifier is right."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.layers.metrics import is_top
from prototxt.errors import InputError


@dataclass(frozen=True)
class TopShares:
    """Shares of ``images`` with the label among the first and the first five scores."""

    top1: float
    top5: float
    images: int


def accuracy(session: Any, batches: Iterable[tuple[Tensor, Tensor]]) -> TopShares:
    """Run (N, C, H, W) data and (N,) labels through an onnxruntime session's first output.

    Ties are judged as Caffe's Accuracy layer judges them; top 5 is capped at the number of classes.
    Raises InputError as :func:`run_scores` does.
    """
    hits, images = np.zeros(2), 0
    for data, labels in batches:
        scores = run_scores(session, data)
        hits += [is_top(scores, labels.long(), min(k, scores.shape[1])).sum().item() for k in (1, 5)]
        images += len(labels)
    top1, top5 = (hits / images).tolist()
    return TopShares(top1, top5, images)


def run_scores(session: Any, data: Tensor) -> Tensor:
    """The first output of an onnxruntime session for (N, C, H, W) data, (N, K). Raises as :func:`finite`.

    A model of one batch size gets the data in parts, the last one filled up.
    """
    feed, images = session.get_inputs()[0], data.contiguous().numpy()
    size = feed.shape[0] if isinstance(feed.shape[0], int) else len(images)
    filled = np.concatenate([images, np.repeat(images[-1:], -len(images) % size, axis=0)])
    parts = [filled[at : at + size] for at in range(0, len(filled), size)]
    scores = np.concatenate([session.run(None, {feed.name: part})[0] for part in parts])
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
