"""How soon and how steadily the runs of a group learned, as their metrics.jsonl has it: what each run's
curve shows, and the curves to draw, mean and band over seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.convergence import TOP1, Metrics, Reached, Steadiness, iterations_to, steadiness
from zoo.report.read.runs import FinishedRun, Group

SHARES = (0.5, 0.8, 0.9)  # of a run's final accuracy
COMMON_SHARE = 0.9  # of the baseline's final accuracy: how soon another group gets there
UNEVEN = 1.25  # between runs of one net: above it the machine was busy with something else part of the time
TOP5 = "accuracy_at_5"


_MOST_POINTS = 400  # of a drawn curve: more cannot be seen


@dataclass(frozen=True)
class Learning:
    """One run: its last tested accuracy, where it stood at SHARES of that, and how steady it was."""

    final: float | None
    reached: tuple[Reached | None, ...]
    steadiness: Steadiness


def learning(run: FinishedRun) -> Learning:
    """What a run's curve says; ``final`` is None where the run was never tested."""
    final = final_accuracy(run)
    reached = tuple(reach(run, share, final) if final else None for share in SHARES)
    return Learning(final, reached, steadiness(run.lines))


def final_accuracy(run: FinishedRun) -> float | None:
    """Top 1 of the last test during training."""
    tested = [line[TOP1] for line in run.lines if line.get(TOP1) is not None]
    return float(tested[-1]) if tested else None


def reach(run: FinishedRun, share: float, final: float) -> Reached | None:
    """Where a run's test accuracy first stood at ``share`` of ``final``."""
    return iterations_to(run.lines, share, final, run.images_per_step)


def mean_final(group: Group) -> float | None:
    """The mean of a group's last tested accuracies; None where one was never tested."""
    finals = [final_accuracy(run) for run in group.runs]
    known = [value for value in finals if value is not None]
    return sum(known) / len(known) if len(known) == len(finals) else None


def mean_reached(points: Sequence[Reached | None]) -> Reached | None:
    """The mean over runs; None where one never got there."""
    known = [item for item in points if item is not None]
    if not known or len(known) < len(points):
        return None
    return Reached(
        sum(item.iteration for item in known) / len(known), sum(item.seconds for item in known) / len(known)
    )


def unevenness(groups: Sequence[Group]) -> float | None:
    """By how much the machine's speed differed between runs of one group, where that is above UNEVEN: seconds
    of different runs are then no comparison of nets. None where it is not."""
    rates = [[run.rate for run in group.runs if run.rate] for group in groups]
    worst = max((max(of_group) / min(of_group) for of_group in rates if of_group), default=1.0)
    return worst if worst > UNEVEN else None


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
