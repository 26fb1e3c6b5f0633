"""Rows of true boxes as SSD's data layer makes them, for nets that are tried without their data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def drawn_truths(
    shape: torch.Size, images: int, labels: Sequence[int], random: np.random.Generator
) -> NDArray[np.float64]:
    """Boxes of objects of any of so many images and of the classes ``labels``, none of them difficult: rows
    of (image, label, instance, xmin, ymin, xmax, ymax, difficult) in ``shape``, (1, 1, R, 8). Of more axes
    before the rows the fork reads the first.
    """
    count = shape[-2]
    items = np.sort(random.integers(0, images, count))
    names = random.choice(labels or [0], count)
    corner, size = random.uniform(0, 0.6, (count, 2)), random.uniform(0.1, 0.4, (count, 2))
    rest = np.zeros((count, 1))
    rows: NDArray[Any] = np.hstack([np.stack([items, names], 1), rest, corner, corner + size, rest])
    return np.broadcast_to(rows, shape)
