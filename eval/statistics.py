"""Means, and intervals that resample what a result hangs on: training seeds and validation photographs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from prototxt.errors import InputError

Floats = np.ndarray[Any, np.dtype[np.float64]]
Blocks = Sequence[Sequence[int]]

NO_SPREAD = 1e-9  # a share of accuracy: above what sums of equal values differ by in float64

DRAWS = 10_000
LEVEL = 0.95
LEAST_BLOCKS = 20  # blocks of photographs: fewer cannot tell how far blocks scatter, so nothing is claimed


@dataclass(frozen=True)
class Interval:
    """A mean with the bounds that hold it at the level asked for.

    ``over_seeds`` is False where a group has one run: the interval then speaks of other photographs,
    not of other trainings. ``too_few``: it rests on fewer than ``LEAST_BLOCKS`` blocks of photographs.
    """

    mean: float
    low: float
    high: float
    over_seeds: bool
    too_few: bool = False

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves 0 out, and rests on enough photographs to say so."""
        return not self.too_few and (self.low > 0 or self.high < 0)


def mean_std(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean and the standard deviation of a sample (divided by n − 1); None for that of one value."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), spread


def interval(
    right: Floats, blocks: Blocks, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean accuracy of one group of runs. ``right`` (S, N): was run s right on photograph i?

    ``blocks`` are photographs (columns) that are drawn together; those in no block do not count. See
    :func:`difference` for the method.
    """
    return _interval([np.asarray(right, float)], [1.0], (0.0, 1.0), blocks, level, draws, seed)


def difference(
    a: Floats,
    b: Floats,
    blocks: Blocks,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
    reach: float = 1.0,
) -> Interval:
    """Mean accuracy of the runs ``a`` (S, N) less that of ``b`` (S', N), over the same N photographs.

    Every draw takes blocks of photographs with replacement, the same for both groups, and runs with
    replacement, for each group on its own: two runs of one seed number share nothing that a mean could
    be paired by. The two deviations are added. A resampled mean of n scatters too little by √((n−1)/n),
    a fifth for three runs, so deviations are stretched by √(n/(n−1)) (J. N. K. Rao and C. F. J. Wu,
    JASA 83, 1988). Three runs also tell little about how far runs scatter: the draws' quantiles are
    widened by Student's t against the normal, its degrees of freedom from the parts' shares in the
    variance (F. E. Satterthwaite, Biometrics Bulletin 2, 1946; B. L. Welch, Biometrika 34, 1947).

    What photographs and runs do together counts in both parts, which makes the interval a little wide.
    A group of one run adds no part: see :class:`Interval`. Where no photograph differs from another,
    resampling shows no spread and :func:`unseen` stands in its place. ``seed`` fixes the draws;
    ``reach`` is the largest difference there can be, either way.
    """
    groups, ends = [np.asarray(a, float), np.asarray(b, float)], (-reach, reach)
    return _interval(groups, [1.0, -1.0], ends, blocks, level, draws, seed)


def _interval(
    groups: Sequence[Floats],
    signs: Sequence[float],
    ends: tuple[float, float],
    blocks: Blocks,
    level: float,
    draws: int,
    seed: int,
) -> Interval:
    random = np.random.default_rng(seed)
    if len(blocks) < 2:
        raise InputError(f"an interval needs two blocks of photographs at least, not {len(blocks)}")
    columns = np.concatenate([np.asarray(block, int) for block in blocks])
    runs = [sign * group[:, columns].mean(1) for group, sign in zip(groups, signs, strict=True)]
    photograph = sum(sign * group.mean(0) for group, sign in zip(groups, signs, strict=True))
    parts = [(_drawn_blocks(np.asarray(photograph), blocks, draws, random), len(blocks))]
    parts += [(drawn_means(run, draws, random), len(run)) for run in runs if len(run) > 1]
    are_alike = bool(np.ptp(np.asarray(photograph)[columns]) < NO_SPREAD)
    return of_deviations(float(sum(run.mean() for run in runs)), parts, len(groups), ends, level, are_alike)


def of_deviations(
    mean: float,
    parts: Sequence[tuple[Floats, int]],
    groups: int,
    ends: tuple[float, float],
    level: float,
    are_alike: bool,
) -> Interval:
    """The interval of a mean that ``groups`` of runs give, by :func:`difference`'s method. ``parts`` are
    deviations of resampled means, each with how many values it was drawn from: over photographs, then over
    the runs of each group of several. ``ends`` are the least and the greatest mean that there can be, and
    ``are_alike`` says that no photograph differs from another.

    A draw of which a deviation is nan, as of photographs that say nothing of a figure, is passed over; an
    interval of no other draws, or of a mean that is nan, is of nan.
    """
    deviations = np.asarray(sum(deviation for deviation, _ in parts))
    known = deviations[~np.isnan(deviations)]
    if math.isnan(mean) or not len(known):
        return Interval(math.nan, math.nan, math.nan, False, True)
    each = [(deviation[~np.isnan(deviation)], count) for deviation, count in parts]
    wide = student_quantile((1 + level) / 2, degrees_of_freedom(each)) / NormalDist().inv_cdf((1 + level) / 2)
    low, high = mean + wide * np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    blocks = parts[0][1]
    if are_alike and all(map(math.isfinite, ends)):
        share = unseen(blocks, level)
        low, high = low - share * (mean - ends[0]), high + share * (ends[1] - mean)
    low, high = np.clip((low, high), *ends).tolist()
    return Interval(mean, low, high, len(parts) == 1 + groups, blocks < LEAST_BLOCKS)


def unseen(count: int, level: float) -> float:
    """The share up to which other photographs may be unlike ``count`` ones that were all alike.

    Wilson's upper bound (1927) where 0 of ``count`` were seen: 5 of 5 wrong leave up to 43% right.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    return z * z / (count + z * z)


def drawn_means(values: Floats, draws: int, random: np.random.Generator) -> Floats:
    """Deviations of ``draws`` resampled means from the mean of n ``values``, stretched by √(n/(n−1))."""
    n = len(values)
    drawn = values[random.integers(0, n, (draws, n))].mean(1)
    return np.asarray((drawn - values.mean()) * math.sqrt(n / (n - 1)))


def _drawn_blocks(values: Floats, blocks: Blocks, draws: int, random: np.random.Generator) -> Floats:
    """The same for the mean over photographs, whole blocks drawn: a block counts as long as it is."""
    n = len(blocks)
    sizes = np.array([len(block) for block in blocks])
    sums = np.array([values[list(block)].sum() for block in blocks])
    chosen = random.integers(0, n, (draws, n), dtype=np.int32)
    drawn = sums[chosen].sum(1) / sizes[chosen].sum(1)
    return np.asarray((drawn - sums.sum() / sizes.sum()) * math.sqrt(n / (n - 1)))


def degrees_of_freedom(parts: Sequence[tuple[Floats, int]]) -> float:
    """Satterthwaite's degrees of freedom of a sum of independent parts, each estimated from n values; one
    value, which shows no scatter, counts as two.
    """
    variances = [(float(np.var(deviation)), max(n, 2) - 1) for deviation, n in parts]
    total = sum(variance for variance, _ in variances)
    if not total:
        return math.inf
    return total**2 / sum(variance**2 / free for variance, free in variances)


def student_quantile(share: float, freedom: float) -> float:
    """The value below which Student's t of ``freedom`` (more than 0) lies with probability ``share``.

    With t = √ν·tan φ the density of φ is cos^(ν−1) φ, which is summed up on a grid.
    """
    if freedom > 1e5:
        return NormalDist().inv_cdf(share)
    angle = np.linspace(-math.pi / 2, math.pi / 2, 100_002)
    middle = (angle[1:] + angle[:-1]) / 2
    below = np.concatenate([[0], np.cumsum(np.cos(middle) ** (freedom - 1))])
    return math.sqrt(freedom) * math.tan(float(np.interp(share, below / below[-1], angle)))
