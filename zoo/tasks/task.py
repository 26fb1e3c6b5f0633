"""What a net is judged by: classes, label maps, …, with the figures that tables and reports are made of."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from converters.graph import Graph
from eval.accuracy import run_outputs
from eval.resampling import Statistic, intervals
from eval.statistics import Floats, Interval

Batches = Iterable[tuple[Tensor, Tensor]]  # a net's input, and what should be answered
Columns = dict[str, Any]  # of a row of bench.json, by their keys


@dataclass(frozen=True)
class Quantity:
    """A figure that nets are judged by. ``key`` is its column in a row, with ``_low`` and ``_high`` behind it
    the ends of its 95% interval, ``title`` what tables call it; a share is written as a percentage.
    ``of`` makes it of sums over photographs, and ``ends`` are the least and the greatest that it can be.
    """

    key: str
    title: str
    of: Statistic | None = None
    ends: tuple[float, float] | None = (0.0, 1.0)
    is_share: bool = True
    is_better_high: bool = True
    digits: int = 1
    has_interval: bool = True

    def text(self, value: float | None) -> str:
        """A value in a table."""
        if value is None:
            return ""
        return f"{value:.{self.digits}%}" if self.is_share else significant(value)

    def in_row(self, row: Mapping[str, Any]) -> float | None:
        """A row's value; None where it has none."""
        return row.get(self.key)

    def interval_in_row(self, row: Mapping[str, Any]) -> tuple[float, float] | None:
        """The ends of a row's interval; None where it has none."""
        low, high = row.get(f"{self.key}_low"), row.get(f"{self.key}_high")
        return None if low is None or high is None else (low, high)


def significant(value: float) -> str:
    """A number of any unit with three digits, or as many as stand before its point."""
    before = math.floor(math.log10(abs(value))) + 1 if value and math.isfinite(value) else 1
    return f"{value:.{max(0, 3 - before)}f}"


@dataclass(frozen=True)
class Task(ABC):
    """What a net is judged by; ``quantities`` are its figures, of which the first compares nets."""

    name: ClassVar[str]
    title: ClassVar[str]  # of the tables that have its figures
    quantities: ClassVar[tuple[Quantity, ...]]

    @classmethod
    @abstractmethod
    def told(cls, graph: Graph) -> Self | None:
        """The task of a net whose layers in TEST say that it is such; None of another's."""

    @abstractmethod
    def measure(self, session: Any, batches: Batches, softmax: bool = False) -> Columns:
        """The columns of a net's row: each quantity with its interval, ``images``, and what else it has.
        ``softmax``: its loss takes one of its scores. Raises InputError for answers that are no numbers.
        """

    @property
    def main(self) -> Quantity:
        """The figure that nets are compared by."""
        return self.quantities[0]


@dataclass(frozen=True)
class SummedTask(Task):
    """A task whose figures follow from sums over photographs: intervals draw photographs anew."""

    @abstractmethod
    def sums(self, answers: Tensor, truth: Tensor) -> Floats:
        """(N, K): what each of N photographs adds to each of K sums. Raises InputError where the two do not
        fit each other.
        """

    def each(self, session: Any, batches: Batches) -> Iterator[Floats]:
        """:meth:`sums` of every batch that a session of the net answers."""
        return (self.sums(run_outputs(session, data), truth) for data, truth in batches)

    def measure(self, session: Any, batches: Batches, softmax: bool = False) -> Columns:
        """Of the sums of all photographs."""
        return self.columns(np.concatenate(list(self.each(session, batches))))

    def columns(self, sums: Floats) -> Columns:
        """Those of (N, K) sums, a photograph each."""
        columns: Columns = {"images": len(sums)}
        for quantity in self.quantities:
            (figure,) = figures(quantity.of, sums, quantity.ends)
            columns |= {quantity.key: figure.mean, f"{quantity.key}_low": figure.low}
            columns[f"{quantity.key}_high"] = figure.high
        return columns


@dataclass(frozen=True)
class Figure:
    """A figure with the ends of its interval: None where there is none."""

    mean: float | None
    low: float | None
    high: float | None


def figures(
    of: Callable[[Floats], Floats] | None, sums: Floats, ends: tuple[float, float] | None = (0.0, 1.0)
) -> list[Figure]:
    """Each figure that ``of`` makes of (N, K) sums; with one photograph it has no interval."""
    assert of is not None
    if len(sums) < 2:
        return [Figure(_known(float(value)), None, None) for value in of(sums.sum(0))]
    return [_figure(each) for each in intervals([sums[None]], of, ends=ends)]


def _figure(interval: Interval) -> Figure:
    return Figure(_known(interval.mean), _known(interval.low), _known(interval.high))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
