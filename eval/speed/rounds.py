"""Timing several workers by turns, and what can be said from it.

A machine's speed drifts: other work comes and goes, clocks change. So the workers take turns, a few calls
each, in an order that changes from round to round; two of them are compared within each round, where
both met the same machine.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from eval.choices import ROUNDS

NOISY = 0.10  # a spread above which a machine is called noisy
_ENOUGH = 8  # rounds below which no interval of 99% can be had: 2 · 0.5⁸ < 0.01 < 2 · 0.5⁷

CountImages = Callable[[int], None]  # so many images more have been computed


class Timed(Protocol):
    """What can be timed."""

    def times(self, batch: int, calls: int) -> list[float]:
        """Seconds of each of ``calls`` calls at ``batch``, after untimed ones."""


@dataclass
class Samples:
    """Seconds of calls, by round."""

    rounds: list[list[float]] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """Calls in all."""
        return sum(map(len, self.rounds))

    @property
    def medians(self) -> list[float]:
        """Each round's median, in seconds."""
        return [float(np.median(seconds)) for seconds in self.rounds]

    @property
    def spread(self) -> float:
        """How far the round medians lie apart: the middle 80% of them, as a share of their median."""
        low, middle, high = np.percentile(self.medians, (10, 50, 90))
        return float((high - low) / middle)

    def percentile(self, q: float) -> float:
        """The ``q``-th percentile over all calls, in seconds."""
        return float(np.percentile([second for seconds in self.rounds for second in seconds], q))


@dataclass(frozen=True)
class Ratio:
    """The median of the per-round ratios of two workers' medians, with its interval of at least 99%.

    Not 95%: a table compares many times, and one false difference in twenty is too many. The interval is
    two of the sorted ratios, by the sign test, so it supposes no distribution; with fewer than eight
    rounds none can be had, and it is everything.
    """

    value: float
    low: float
    high: float

    def is_told_apart(self, floor: float = 0.0) -> bool:
        """Whether the whole interval lies on one side of 1, by more than ``floor`` (a share)."""
        return self.low > 1 + floor or self.high < 1 / (1 + floor)

    @property
    def distance(self) -> float:
        """How far the value is from 1, as a share, the same both ways."""
        return max(self.value, 1 / self.value) - 1


def ratio(above: Samples, below: Samples) -> Ratio:
    """``above`` ÷ ``below``, paired round by round; both must come from one :func:`interleave`."""
    ratios = sorted(a / b for a, b in zip(above.medians, below.medians, strict=True))
    value = float(np.median(ratios))
    if len(ratios) < _ENOUGH:
        return Ratio(value, 0.0, math.inf)
    cut = _cut(len(ratios))
    return Ratio(value, ratios[cut], ratios[-1 - cut])


def _cut(count: int) -> int:
    """How many of ``count`` sorted values may be left out at each end of a 99% interval of their median."""
    tail, cut = 0.5**count, 0
    while (tail := tail + math.comb(count, cut + 1) * 0.5**count) <= 0.005:
        cut += 1
    return cut


def calls_a_round(runs: int, batch: int) -> tuple[int, int]:
    """(rounds, calls in each) for about ``runs`` calls at batch 1 and as many images at larger ones; at
    least one call a round.
    """
    rounds = min(ROUNDS, runs)
    return rounds, math.ceil(runs / (rounds * batch))


def visits(batches: Sequence[Sequence[int]], rounds: int) -> Iterator[tuple[int, int]]:
    """(worker, batch) of every turn: in each round every worker once at each of its ``batches``.

    Within a round one batch size comes after the other, and the workers at each in an order of its own,
    which follows from the round alone.
    """
    sizes = sorted({batch for own in batches for batch in own})
    for round_ in range(rounds):
        shuffled = random.Random(round_)
        for batch in shuffled.sample(sizes, len(sizes)):
            turns = [worker for worker, own in enumerate(batches) if batch in own]
            yield from ((worker, batch) for worker in shuffled.sample(turns, len(turns)))


def interleave(
    workers: Sequence[Timed], batches: Sequence[Sequence[int]], runs: int, advance: CountImages
) -> list[dict[int, Samples]]:
    """Time every worker at each of its batch sizes, by turns: samples by batch size, worker by worker."""
    samples: list[dict[int, Samples]] = [{batch: Samples() for batch in own} for own in batches]
    for worker, batch in visits(batches, min(ROUNDS, runs)):
        calls = calls_a_round(runs, batch)[1]
        samples[worker][batch].rounds.append(workers[worker].times(batch, calls))
        advance(batch * (calls + 1))
    return samples


def images_in_all(batches: Sequence[Sequence[int]], runs: int) -> int:
    """How many images :func:`interleave` tells of: those of timed calls, and one untimed call a turn."""
    turns = [(calls_a_round(runs, batch), batch) for own in batches for batch in own]
    return sum(rounds * (calls + 1) * batch for (rounds, calls), batch in turns)
