"""Distributions over the values 1 to K of a picture, such as the votes on it: by the earth mover's distance,
and by the mean that they come to.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from torch import Tensor

from converters.graph import Graph
from eval.distributions import earth_movers, means, normalised
from eval.resampling import Statistic
from eval.statistics import Floats
from zoo.tasks.errors import error, sides
from zoo.tasks.task import Quantity, SummedTask
from zoo.variants.sizing import compared_values


def _mean_of(place: int) -> Statistic:
    """The mean over photographs of one of the sums of :meth:`Distributions.sums`."""

    def of(sums: Floats) -> Floats:
        kept = np.asarray(sums, float)
        return np.asarray(kept[..., place : place + 1] / kept[..., -1:])

    return of


_SHARES = (0.0, 1.0)


@dataclass(frozen=True)
class Distributions(SummedTask):
    """The task of a net that tells how K shares are spread over ordered values; ``guess`` is the mean of the
    distributions that it was trained on, as far as they are known.
    """

    guess: tuple[float, ...] = ()

    name: ClassVar[str] = "distributions"
    title: ClassVar[str] = "distributions"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        error("emd", "EMD, r = 2", _mean_of(0), _SHARES),
        error("emd_constant", "always the mean of all", _mean_of(3), _SHARES, has_interval=False),
        error("emd1", "EMD, r = 1", _mean_of(1), _SHARES),
        error("mean_error", "error of the mean", _mean_of(2)),
        error("mean_error_constant", "always the mean of all", _mean_of(5), has_interval=False),
    )

    @classmethod
    def told(cls, graph: Graph) -> Self | None:
        """Of a net that tells the shares of a softmax, which a loss compares with what the data says."""
        told = set(compared_values(graph))
        makers = [node.layer.type for node in graph.nodes if told.intersection(node.outputs)]
        return cls() if "Softmax" in makers else None

    @classmethod
    def trained_on(cls, labels: Floats) -> Self:
        """The task of a net that was trained on (M, K) distributions."""
        return cls(tuple(normalised(labels).mean(0).tolist()))

    def sums(self, answers: Tensor, truth: Tensor) -> Floats:
        """(N, 7): of what is told the earth mover's distances with r = 2 and r = 1 and the error of the mean,
        the same of the guess, and 1; all distributions are normalised before.
        """
        told, true = map(normalised, sides(answers, truth))
        guess = np.broadcast_to(self.guess or [math.nan], true.shape)
        columns = [*_distances(told, true), *_distances(guess, true), np.ones(len(true))]
        return np.stack(columns, 1)


def _distances(told: Floats, true: Floats) -> list[Floats]:
    return [earth_movers(told, true, 2), earth_movers(told, true, 1), np.abs(means(told) - means(true))]
