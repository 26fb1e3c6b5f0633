"""How far told distributions over the values 1 to K are from the true ones, such as the votes on a picture.

After H. Talebi and P. Milanfar, "NIMA: Neural Image Assessment", IEEE Transactions on Image Processing 27
(8), 2018.
"""

import numpy as np

from eval.statistics import Floats

_SUM_WITHIN = 0.01  # of 1: shares in lists are rounded, ten of them with three decimals by up to 0.005


def are_distributions(labels: Floats) -> bool:
    """Whether every row of (N, K) labels is a distribution: two values or more, none below 0, their sum 1."""
    if labels.ndim != 2 or labels.shape[1] < 2:
        return False
    return bool((labels >= 0).all() and (np.abs(labels.sum(1) - 1) <= _SUM_WITHIN).all())


def normalised(shares: Floats) -> Floats:
    """(N, K) shares with the sum 1: what is below 0 counts as 0. A row of nothing else says nothing, and
    gets 1/K each.
    """
    kept = np.maximum(shares, 0)
    total = kept.sum(1, keepdims=True)
    return np.where(total > 0, kept / np.where(total > 0, total, 1), 1 / shares.shape[1])


def means(shares: Floats) -> Floats:
    """(N,) means of (N, K) distributions over the values 1 to K."""
    return np.asarray(shares @ np.arange(1, shares.shape[1] + 1))


def earth_movers(told: Floats, true: Floats, r: float) -> Floats:
    """(N,) earth mover's distances of (N, K) distributions: the r-th root of the mean over the K values of
    the r-th powers of the differences of their cumulative distributions (NIMA, equation 1). r = 2, which NIMA
    trains with, is their root mean square; r = 1, which it reports, their mean.
    """
    apart = np.abs(np.cumsum(told, 1) - np.cumsum(true, 1))
    return np.asarray((apart**r).mean(1) ** (1 / r))
