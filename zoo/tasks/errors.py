"""What tasks share whose figures are distances of told values from true ones."""

import math

from torch import Tensor

from eval.accuracy import averaged
from eval.resampling import Statistic
from eval.statistics import Floats
from prototxt.errors import InputError
from zoo.tasks.task import Quantity

UNBOUNDED = (0.0, math.inf)


def error(
    key: str,
    title: str,
    of: Statistic,
    ends: tuple[float, float] = UNBOUNDED,
    has_interval: bool = True,
) -> Quantity:
    """A figure that is the better the nearer to 0 it is."""
    return Quantity(key, title, of, ends, is_share=False, is_better_high=False, has_interval=has_interval)


def sides(answers: Tensor, truth: Tensor) -> tuple[Floats, Floats]:
    """(N, K) told and (N, K) true numbers of a net's (N, …) answers, or (N·crops, …) of which each picture's
    mean counts, and (N, …) labels. Raises InputError where a picture has not as many of both.
    """
    one_each = averaged(answers.reshape(len(answers), -1), len(truth))
    told, true = (each.reshape(len(each), -1).double().numpy() for each in (one_each, truth))
    if told.shape != true.shape:
        raise InputError(f"the net tells {told.shape[1]} numbers a picture, its labels are {true.shape[1]}")
    return told, true
