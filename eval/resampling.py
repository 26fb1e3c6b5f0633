"""Intervals of figures that are worked out of sums over photographs, such as a mean error or a mean IoU."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from eval.statistics import DRAWS, LEVEL, NO_SPREAD, Floats, Interval, drawn_means, of_deviations
from prototxt.errors import InputError

# (…, K) sums over photographs to (…, M) figures; nan where the sums say nothing of one.
Statistic = Callable[[Floats], Floats]
_MOST = 2_000_000  # numbers that are drawn at a time


def intervals(
    groups: Sequence[Floats], of: Statistic, ends: tuple[float, float] | None = (0.0, 1.0)
) -> list[Interval]:
    """The 95% intervals of the M figures of a group of runs, or of two groups the first one's less the
    other's.

    Each group is (S, N, K): what run s adds for photograph i to each of K sums, of which ``of`` makes the
    figures. ``ends`` are the least and the greatest that a figure can be, None where there is no bound. The
    method is :func:`eval.statistics.difference`'s, but that photographs are drawn each by itself, and that
    figures are worked out anew of every draw's sums. Raises InputError for fewer than two photographs.
    """
    random = np.random.default_rng(0)
    signs = (1.0, -1.0)[: len(groups)]
    summed = [np.asarray(group, float) for group in groups]
    count = summed[0].shape[1]
    if count < 2:
        raise InputError(f"an interval needs two photographs at least, not {count}")
    figures = [sign * of(each.sum(1)) for sign, each in zip(signs, summed, strict=True)]  # (S, M)
    mean = np.sum([each.mean(0) for each in figures], 0)
    photographs = (_drawn(summed, signs, of, random) - mean) * math.sqrt(count / (count - 1))
    span, made, saying = _span(ends, len(groups)), [], _saying(summed, of)
    for place, own in enumerate(mean.tolist()):
        parts = [(photographs[:, place], saying[place])]
        parts += [
            (drawn_means(each[:, place], DRAWS, random), len(each)) for each in figures if len(each) > 1
        ]
        drawn = parts[0][0][~np.isnan(parts[0][0])]
        are_alike = len(drawn) > 0 and bool(np.ptp(drawn) < NO_SPREAD)
        made.append(of_deviations(own, parts, len(groups), span, LEVEL, are_alike))
    return made


def _saying(summed: Sequence[Floats], of: Statistic) -> list[int]:
    """Of each of the M figures how many photographs say something of it: a class that stands in two of many
    is known from two.
    """
    is_said = np.any([~np.isnan(of(each.sum(0))) for each in summed], 0)
    return [int(count) for count in is_said.sum(0)]


def _drawn(
    summed: Sequence[Floats], signs: Sequence[float], of: Statistic, random: np.random.Generator
) -> Floats:
    """(DRAWS, M): the figures, the mean over a group's runs, of photographs drawn with replacement, the same
    for all groups.
    """
    count, parts = summed[0].shape[1], []
    step = max(1, _MOST // count)
    for start in range(0, DRAWS, step):
        times = random.multinomial(count, np.full(count, 1 / count), min(step, DRAWS - start)).astype(float)
        drawn = [np.tensordot(times, each, (1, 1)) for each in summed]  # (draws, S, K)
        parts.append(np.sum([s * of(each).mean(1) for s, each in zip(signs, drawn, strict=True)], 0))
    return np.concatenate(parts)


def _span(ends: tuple[float, float] | None, groups: int) -> tuple[float, float]:
    """The least and the greatest that a figure, or a difference of two, can be."""
    if ends is None:
        return -math.inf, math.inf
    return ends if groups == 1 else (ends[0] - ends[1], ends[1] - ends[0])
