"""Numbers of a picture, such as an angle or an age: by their mean absolute error."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from torch import Tensor

from converters.graph import Graph
from eval.numbers import absolute_errors, constant_guess
from eval.statistics import Floats
from zoo.tasks.errors import UNBOUNDED, error, sides
from zoo.tasks.task import Columns, Quantity, SummedTask, figures
from zoo.variants.sizing import compared_values


def each_error(sums: Floats) -> Floats:
    """(…, 2K + 1) sums of :meth:`Numbers.sums` to (…, K): the mean absolute error of each number."""
    return _halves(sums)[0]


def mean_error(sums: Floats) -> Floats:
    """The same sums to (…, 1): the mean over the K numbers."""
    return np.asarray(each_error(sums).mean(-1, keepdims=True))


def each_constant(sums: Floats) -> Floats:
    """The same sums to (…, K): each number's error where its guess is told always; nan without one."""
    return _halves(sums)[1]


def mean_constant(sums: Floats) -> Floats:
    """The same sums to (…, 1): the mean over the K numbers."""
    return np.asarray(each_constant(sums).mean(-1, keepdims=True))


def _halves(sums: Floats) -> tuple[Floats, Floats]:
    kept = np.asarray(sums, float)
    own, others = np.split(kept[..., :-1] / kept[..., -1:], 2, -1)
    return own, others


@dataclass(frozen=True)
class Numbers(SummedTask):
    """The task of a net that a loss of differences trains; ``guess`` are the medians of the numbers that it
    was trained on, as far as they are known.
    """

    guess: tuple[float, ...] = ()

    name: ClassVar[str] = "numbers"
    title: ClassVar[str] = "errors"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        error("mae", "MAE", mean_error),
        error("mae_constant", "always the median", mean_constant, has_interval=False),
    )

    @classmethod
    def told(cls, graph: Graph) -> Self | None:
        """Of a net with a loss of the differences between what it tells and what the data says."""
        return cls() if compared_values(graph) else None

    @classmethod
    def trained_on(cls, labels: Floats) -> Self:
        """The task of a net that was trained on (M, K) numbers."""
        return cls(tuple(constant_guess(labels).tolist()))

    def sums(self, answers: Tensor, truth: Tensor) -> Floats:
        """(N, 2K + 1): each told number's distance from the true one, the guess's, and 1."""
        told, true = sides(answers, truth)
        guess = np.array(self.guess or [math.nan] * true.shape[1])
        each = (absolute_errors(told, true), absolute_errors(guess, true), np.ones((len(true), 1)))
        return np.concatenate(each, 1)

    def columns(self, sums: Floats) -> Columns:
        """Besides the quantities those of each number, where there are several."""
        columns = super().columns(sums)
        if sums.shape[1] > 3:
            errors = figures(each_error, sums, UNBOUNDED)
            columns |= {"each_mae": [figure.mean for figure in errors]}
            columns |= {"each_mae_low": [figure.low for figure in errors]}
            columns |= {"each_mae_high": [figure.high for figure in errors]}
            constants = figures(each_constant, sums, UNBOUNDED)
            columns |= {"each_mae_constant": [figure.mean for figure in constants]}
        return columns
