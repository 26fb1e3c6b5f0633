"""Intervals of figures that are worked out of sums over photographs, such as a mean error or a mean IoU."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from eval.statistics import (
    DRAWS,
    LEAST_BLOCKS,
    LEVEL,
    NO_SPREAD,
    Blocks,
    Floats,
    Interval,
    degrees_of_freedom,
    drawn_means,
    student_quantile,
    unseen,
)
from prototxt.errors import InputError

# (…, K) sums over photographs to (…, M) figures; nan where the sums say nothing of one.
Statistic = Callable[[Floats], Floats]
_MOST = 2_000_000  # numbers that are drawn at a time


def intervals(
    groups: Sequence[Floats],
    of: Statistic,
    blocks: Blocks | None = None,
    ends: tuple[float, float] | None = (0.0, 1.0),
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Interval]:
    """The intervals of the M figures of a group of runs, or of two groups the first one's less the other's.

    Each group is (S, N, K): what run s adds for photograph i to each of K sums, of which ``of`` makes the
    figures. ``blocks`` are photographs that are drawn together, by default each by itself. ``ends`` are the
    least and the greatest that a figure can be, None where there is no bound. The method is
    :func:`eval.statistics.difference`'s, but that figures are worked out anew of every draw's sums.
    """
    random = np.random.default_rng(seed)
    signs = (1.0, -1.0)[: len(groups)]
    summed = [_block_sums(np.asarray(group, float), blocks) for group in groups]
    count = summed[0].shape[1]
    if count < 2:
        raise InputError(f"an interval needs two blocks of photographs at least, not {count}")
    figures = [sign * of(each.sum(1)) for sign, each in zip(signs, summed, strict=True)]  # (S, M)
    mean = np.sum([each.mean(0) for each in figures], 0)
    photographs = _drawn(summed, signs, of, count, draws, random) - mean
    made = []
    for place in range(len(mean)):
        parts = [(photographs[:, place] * math.sqrt(count / (count - 1)), count)]
        parts += [
            (drawn_means(each[:, place], draws, random), len(each)) for each in figures if len(each) > 1
        ]
        made.append(_interval(float(mean[place]), parts, len(groups), _span(ends, len(groups)), level))
    return made


def _block_sums(group: Floats, blocks: Blocks | None) -> Floats:
    """(S, B, K): the sums of each block."""
    if blocks is None:
        return group
    return np.stack([group[:, list(block)].sum(1) for block in blocks], 1)


def _drawn(
    summed: Sequence[Floats],
    signs: Sequence[float],
    of: Statistic,
    count: int,
    draws: int,
    random: np.random.Generator,
) -> Floats:
    """(draws, M): the figures, the mean over a group's runs, of blocks drawn with replacement, the same for
    all groups.
    """
    parts = []
    step = max(1, _MOST // count)
    for start in range(0, draws, step):
        times = random.multinomial(count, np.full(count, 1 / count), min(step, draws - start)).astype(float)
        drawn = [np.tensordot(times, each, (1, 1)) for each in summed]  # (draws, S, K)
        parts.append(np.sum([s * of(each).mean(1) for s, each in zip(signs, drawn, strict=True)], 0))
    return np.concatenate(parts)


def _span(ends: tuple[float, float] | None, groups: int) -> tuple[float, float]:
    if ends is None:
        return -math.inf, math.inf
    return ends if groups == 1 else (ends[0] - ends[1], ends[1] - ends[0])


def _interval(
    mean: float, parts: Sequence[tuple[Floats, int]], groups: int, ends: tuple[float, float], level: float
) -> Interval:
    """Of one figure, from its deviations by photographs and by runs. A draw that has no photograph which
    says anything of it is passed over.
    """
    count, deviations = parts[0][1], np.asarray(sum(deviation for deviation, _ in parts))
    known = deviations[~np.isnan(deviations)]
    if math.isnan(mean) or not len(known):
        return Interval(math.nan, math.nan, math.nan, False, True)
    each = [(deviation[~np.isnan(deviation)], n) for deviation, n in parts]
    wide = student_quantile((1 + level) / 2, degrees_of_freedom(each)) / NormalDist().inv_cdf((1 + level) / 2)
    low, high = mean + wide * np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    if np.ptp(each[0][0]) < NO_SPREAD and math.isfinite(ends[0]) and math.isfinite(ends[1]):
        share = unseen(count, level)
        low, high = low - share * (mean - ends[0]), high + share * (ends[1] - mean)
    low, high = np.clip((low, high), *ends).tolist()
    return Interval(mean, low, high, len(parts) == 1 + groups, count < LEAST_BLOCKS)
