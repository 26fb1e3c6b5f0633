"""How fast and how steadily a run learned, from the lines of its metrics.jsonl."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Metrics = Sequence[Mapping[str, Any]]

TOP1 = "accuracy_at_1"


@dataclass(frozen=True)
class Reached:
    """Where a run reached something: after how many iterations, and seconds of training."""

    iteration: float
    seconds: float


@dataclass(frozen=True)
class Steadiness:
    """How far test accuracy (a share) and the training loss (relative) scatter about their own trend.

    None where a run has fewer than three points in its last half.
    """

    accuracy: float | None
    loss: float | None


def seconds_at(metrics: Metrics, images_per_step: int) -> list[float]:
    """Seconds of training before each line: steps since the line before × images ÷ images_per_second.

    Tests, snapshots and pauses do not count. A line without a rate (null: only a process's first step ran)
    is taken at the mean rate of the others; 0 throughout where no line has one.
    """
    known = [line["images_per_second"] for line in metrics if line.get("images_per_second")]
    usual = float(np.mean(known)) if known else math.inf
    total, before, seconds = 0.0, 0, list[float]()
    for line in metrics:
        rate = line.get("images_per_second") or usual
        total += (line["iteration"] - before) * images_per_step / rate
        before = line["iteration"]
        seconds.append(total)
    return seconds


def iterations_to(
    metrics: Metrics, share: float, final: float, images_per_step: int, key: str = TOP1
) -> Reached | None:
    """Where test accuracy first reaches ``share`` of ``final``; None where it never does.

    Between the first test point at or above the mark and the one before, a straight line is taken: test
    points may stand far apart. A run that scatters may touch the mark early by one lucky test.
    """
    seconds = seconds_at(metrics, images_per_step)
    points = [
        (line[key], line["iteration"], at) for line, at in zip(metrics, seconds, strict=True) if key in line
    ]
    mark = share * final
    for index, (value, iteration, at) in enumerate(points):
        if value >= mark:
            if not index:
                return Reached(iteration, at)
            low, start, began = points[index - 1]
            part = (mark - low) / (value - low)
            return Reached(start + part * (iteration - start), began + part * (at - began))
    return None


def steadiness(metrics: Metrics, key: str = TOP1) -> Steadiness:
    """The scatter about a local straight line over the last half of the run's iterations.

    Test accuracy as it is, and the logarithm of the training loss, so that runs at different losses
    compare. Both depend on the solver's test_iter and average_loss: compare runs that share these.
    """
    half = metrics[-1]["iteration"] / 2 if metrics else 0
    late = [line for line in metrics if line["iteration"] >= half]
    tested = [(line["iteration"], line[key]) for line in late if key in line]
    losses = [(line["iteration"], math.log(line["loss"])) for line in late if (line.get("loss") or 0) > 0]
    return Steadiness(scatter(tested), scatter(losses))


def scatter(points: Sequence[tuple[float, float]]) -> float | None:
    """The standard deviation of y about a smooth curve through (x, y) points, x rising.

    Each inner point's distance from the line through its two neighbours, divided by what white noise of
    standard deviation 1 would make of it (T. Gasser, L. Sroka, C. Jennen-Steinmetz, Biometrika 73, 1986).
    A trend, which a plain standard deviation would take for noise, drops out.
    """
    if len(points) < 3:
        return None
    x, y = np.array(points, float).T
    left = (x[2:] - x[1:-1]) / (x[2:] - x[:-2])
    apart = y[1:-1] - left * y[:-2] - (1 - left) * y[2:]
    return float(np.sqrt(np.mean(apart**2 / (1 + left**2 + (1 - left) ** 2))))
