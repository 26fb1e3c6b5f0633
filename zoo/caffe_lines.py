"""Caffe's own log lines (solver.cpp, sgd_solver.cpp), for the parsers that people have of them."""

from collections.abc import Iterable, Iterator
from datetime import datetime

Output = tuple[str, list[float], float]  # a blob's name, its values, its loss weight


def number(value: float) -> str:
    """A number as C++ streams print it."""
    return f"{value:.6g}"


def prefix(when: datetime, process: int, place: str) -> str:
    """What glog puts before a line, which Caffe's parse_log.py takes the time from."""
    return f"I{when:%m%d %H:%M:%S.%f} {process:5d} {place}]"


def iteration(number_of: int, loss: float, rate: float | None, seconds: float | None, display: int) -> str:
    """The loss at a display; without a rate as at the end of training."""
    if rate is None or seconds is None:
        return f"Iteration {number_of}, loss = {number(loss)}"
    speed = f"({number(rate)} iter/s, {number(seconds)}s/{display} iters)"
    return f"Iteration {number_of} {speed}, loss = {number(loss)}"


def learning_rate(number_of: int, rate: float) -> str:
    """The rate of an iteration."""
    return f"Iteration {number_of}, lr = {number(rate)}"


def testing(number_of: int, net: int) -> str:
    """The start of a test."""
    return f"Iteration {number_of}, Testing net (#{net})"


def outputs(phase: str, held: Iterable[Output]) -> Iterator[str]:
    """A line a value, as ``    Train net output #0: loss = 1.2 (* 1 = 1.2 loss)``, ``phase`` being Train or
    Test.
    """
    flat = [(name, value, weight) for name, values, weight in held for value in values]
    for index, (name, value, weight) in enumerate(flat):
        share = f" (* {number(weight)} = {number(weight * value)} loss)" if weight else ""
        yield f"    {phase} net output #{index}: {name} = {number(value)}{share}"
