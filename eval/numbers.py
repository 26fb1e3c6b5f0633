"""How far the numbers that a net tells of pictures are from the true ones."""

import numpy as np

from eval.statistics import Floats


def absolute_errors(told: Floats, true: Floats) -> Floats:
    """(N, K) distances of K told numbers a picture from the true ones, (N, K) both."""
    return np.abs(told - true)


def constant_guess(trained: Floats) -> Floats:
    """(K,) medians of the (M, K) numbers of M training pictures: of all constants the one that is nearest to
    them on the mean, and so what a net must beat that has seen anything.
    """
    return np.asarray(np.median(trained, axis=0))
