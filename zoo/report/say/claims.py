"""What may be said: from figures to the keys of sentences. No text here, and no files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from eval.statistics import Interval

Side = Literal["above", "below", "open"]

EQUAL_WITHIN = 0.03  # shares of accuracy: what "about equal" is taken to mean here


@dataclass(frozen=True)
class Range:
    """A ratio of two means, with the least and the greatest over pairs of runs."""

    mean: float
    low: float
    high: float


def side(interval: Interval) -> Side:
    """Whether an interval lies above 0 or below; open where neither, or where it is of single trainings."""
    if not interval.over_seeds or not interval.is_real:
        return "open"
    return "above" if interval.low > 0 else "below"


def shown(interval: Interval) -> Side | Literal["these", "few"]:
    """The same; ``these`` where single runs differ by more than other photographs would explain, ``few``
    where there are too few photographs to say anything.
    """
    if interval.too_few:
        return "few"
    return "these" if interval.is_real and not interval.over_seeds else side(interval)


def is_equal(interval: Interval, within: float = EQUAL_WITHIN) -> bool:
    """Whether the interval, over trainings too, leaves no room for a difference larger than ``within``."""
    is_told = interval.over_seeds and not interval.too_few
    return is_told and -within <= interval.low and interval.high <= within


@dataclass(frozen=True)
class SeedOrder:
    """How two sets of figures, one a seed, stand: all of ``ours`` under all of ``theirs``, over, or mixed.

    ``chance``: how likely such an order, either way, is between two sets that do not differ.
    """

    side: Side
    chance: float

    @property
    def is_rare(self) -> bool:
        """Whether chance makes it in at most one case of twenty."""
        return self.side != "open" and self.chance <= 0.05


def order(ours: Sequence[float], theirs: Sequence[float]) -> SeedOrder:
    """Compare every figure of one side with every one of the other; ties are no order, nor is one against
    one.

    Of all ways to deal n + m different figures out as n and m, two part them: 2 / C(n + m, n).
    """
    if not ours or not theirs or len(ours) + len(theirs) == 2:
        return SeedOrder("open", 1.0)
    chance = 2 / math.comb(len(ours) + len(theirs), len(ours))
    if max(ours) < min(theirs):
        return SeedOrder("below", chance)
    return SeedOrder("above" if min(ours) > max(theirs) else "open", chance)


def seen(ours: Sequence[float], theirs: Sequence[float]) -> Side:
    """How one figure stands to one other, which is no order; open where either side has more or none."""
    if len(ours) != 1 or len(theirs) != 1 or ours[0] == theirs[0]:
        return "open"
    return "below" if ours[0] < theirs[0] else "above"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Range | None:
    """theirs ÷ ours: of the means, and the least and greatest over every pair of seeds."""
    if not ours or not theirs or min(ours) <= 0:
        return None
    every = [b / a for a in ours for b in theirs]
    return Range((sum(theirs) / len(theirs)) / (sum(ours) / len(ours)), min(every), max(every))


def together(sides: Sequence[Side]) -> Side | Literal["mixed"]:
    """The side that all are on; open where all are open; mixed otherwise."""
    clear = set(sides)
    if not clear or clear == {"open"}:
        return "open"
    return sides[0] if len(clear) == 1 else "mixed"
