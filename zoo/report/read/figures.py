"""What runs are judged by whose figures are made of sums over photographs: means over seeds, intervals,
differences.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eval.resampling import Statistic, intervals
from eval.statistics import Floats, Interval
from zoo.report.measure.summed import Summed
from zoo.report.read.gathered import Gathered
from zoo.report.read.runs import Group
from zoo.tasks.task import Quantity, SummedTask


@dataclass(frozen=True, kw_only=True)
class Figures(Gathered):
    """The groups of a folder of runs with the sums of each run, by the run's folder."""

    summed: Mapping[Path, Summed]
    _intervals: dict[tuple[object, ...], Interval] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many photographs runs are judged by."""
        return len(self.summed[self.first.path].sums)

    @property
    def task(self) -> SummedTask:
        """What the nets are judged by."""
        return self.summed[self.first.path].task

    def sums(self, group: Group) -> Floats:
        """(S, N, J): what photograph i adds to each sum of run s."""
        return np.array([self.summed[run.path].sums for run in group.runs])

    def values(self, group: Group, quantity: Quantity) -> list[float]:
        """A figure of each of the group's runs; nan of one that has none."""
        return [float(of_sums(quantity)(sums.sum(0))[0]) for sums in self.sums(group)]

    def interval(self, group: Group, quantity: Quantity) -> Interval:
        """The 95% interval of a group's figure."""
        key = (quantity.key, group.index)
        return self._once(key, [self.sums(group)], of_sums(quantity), quantity.ends)

    def difference(self, group: Group, other: Group, quantity: Quantity) -> Interval:
        """``group`` less ``other`` in a figure, with its 95% interval."""
        key = (quantity.key, group.index, other.index)
        return self._once(key, [self.sums(group), self.sums(other)], of_sums(quantity), quantity.ends)

    def between(self, group: Group, quantity: Quantity, other: Quantity) -> Interval:
        """One figure of a group less another, with the 95% interval."""

        def of(sums: Floats) -> Floats:
            return of_sums(quantity)(sums) - of_sums(other)(sums)

        return self._once((quantity.key, other.key, group.index), [self.sums(group)], of, None)

    def guesses(self) -> list[Quantity]:
        """The figure that always telling the same comes to, as the main one; none where there is no such."""
        key = f"{self.task.main.key}_constant"
        made = [quantity for quantity in self.task.quantities if quantity.key == key]
        return [each for each in made if not math.isnan(self.values(self.groups[0], each)[0])]

    def _once(
        self,
        key: tuple[object, ...],
        groups: list[Floats],
        of: Statistic,
        ends: tuple[float, float] | None,
    ) -> Interval:
        if key not in self._intervals:
            self._intervals[key] = intervals(groups, of, ends=ends)[0]
        return self._intervals[key]


def of_sums(quantity: Quantity) -> Statistic:
    """What makes the figure of sums."""
    assert quantity.of is not None
    return quantity.of
