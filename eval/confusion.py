"""Which classes are taken for which, and which photographs are recognised worst."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Integers = np.ndarray[Any, np.dtype[np.int64]]


def confusion(labels: Sequence[int], predictions: Sequence[Sequence[int]], classes: int) -> Integers:
    """(classes, classes) counts over all runs: row the true class, column the predicted one.

    ``predictions`` are (S, N), one row a run.
    """
    flat = np.asarray(predictions, np.int64)
    true = np.broadcast_to(np.asarray(labels, np.int64), flat.shape)
    counted = np.bincount((true * classes + flat).ravel(), minlength=classes * classes)
    return counted.reshape(classes, classes)


def recall(counts: Integers) -> list[float | None]:
    """Of each class's photographs the share that was recognised; None for a class without any."""
    return [float(row[index] / row.sum()) if row.sum() else None for index, row in enumerate(counts)]


def worst(
    labels: Sequence[int],
    predictions: Sequence[Sequence[int]],
    confidence: Sequence[Sequence[float]],
    count: int,
) -> list[int]:
    """Up to ``count`` photographs that most runs got wrong, the surest about it first among equals.

    How sure is the mean confidence of the wrong answers; equals in that too stay in the list's order.
    Photographs that every run got right are left out.
    """
    wrong = np.asarray(predictions) != np.asarray(labels)
    times = wrong.sum(0)
    sure = (np.asarray(confidence, float) * wrong).sum(0) / np.maximum(times, 1)
    order = np.lexsort((np.arange(len(times)), -sure, -times))
    return [int(row) for row in order[:count] if times[row]]
