"""Training curves: mean and band over seeds, and what each run's curve says of its speed and steadiness."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.convergence import Metrics

_MOST_POINTS = 400  # of a drawn curve: more cannot be seen


@dataclass(frozen=True)
class Curve:
    """A quantity over training: the mean over seeds, and the least and greatest of any seed."""

    iterations: tuple[float, ...]
    seconds: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def curve(runs: Sequence[tuple[Metrics, Sequence[float]]], key: str) -> Curve | None:
    """``key`` over runs given as (lines, seconds at each), at the iterations that all runs have; thinned.

    None where there are fewer than two such iterations.
    """
    tables = [
        {
            line["iteration"]: (at, line[key])
            for line, at in zip(lines, seconds, strict=True)
            if line.get(key) is not None
        }
        for lines, seconds in runs
    ]
    shared = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
    if len(shared) < 2:
        return None
    places = thinned(shared)
    values = np.array([[table[x] for x in places] for table in tables], float)
    rows = (
        places,
        values[..., 0].mean(0),
        values[..., 1].mean(0),
        values[..., 1].min(0),
        values[..., 1].max(0),
    )
    return Curve(*(tuple(map(float, row)) for row in rows))


def thinned(places: Sequence[float], most: int = _MOST_POINTS) -> list[float]:
    """At most ``most`` of them, evenly spread, the first and the last among them."""
    if len(places) <= most:
        return list(places)
    return [places[round(index)] for index in np.linspace(0, len(places) - 1, most)]
