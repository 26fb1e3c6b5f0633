"""Caffe's log lines, word for word, from numbers: what people's log parsers look for.

Numbers are printed as C++ streams do it, with six digits. A line has no time in front of it;
:func:`stamped` puts glog's there.
"""

import os
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple


class Output(NamedTuple):
    """One value of an output blob; ``weight`` is the blob's loss weight."""

    blob: str
    value: float
    weight: float = 0.0


def stamped(line: str, moment: datetime, source: str = "solver.cpp:239", level: str = "I") -> str:
    """``line`` as glog prints it: level, month and day, time, thread, place."""
    thread = threading.get_native_id() if hasattr(threading, "get_native_id") else os.getpid()
    return f"{level}{moment:%m%d %H:%M:%S.%f} {thread:5d} {source}] {line}"


def solving_lines(net: str, policy: str) -> list[str]:
    """What a run begins with."""
    return [f"Solving {net}", f"Learning Rate Policy: {policy}"]


def loss_line(
    iteration: int, loss: float, interval: int = 0, seconds: float | None = None, iterations: int = 0
) -> str:
    """The smoothed loss; with ``seconds`` for the ``iterations`` since the line before, with Caffe 1.0's
    speed in brackets, which older versions do not print.
    """
    if seconds is None:
        return f"Iteration {iteration}, loss = {loss:g}"
    speed = iterations / (seconds or 1)
    return f"Iteration {iteration} ({speed:g} iter/s, {seconds:g}s/{interval} iters), loss = {loss:g}"


def rate_line(iteration: int, rate: float) -> str:
    """The learning rate of an iteration."""
    return f"Iteration {iteration}, lr = {rate:g}"


def testing_line(iteration: int, net: int = 0) -> str:
    """The head of a test."""
    return f"Iteration {iteration}, Testing net (#{net})"


def test_loss_line(loss: float) -> str:
    """The mean loss of a test, under test_compute_loss."""
    return f"Test loss: {loss:g}"


def output_lines(outputs: Sequence[Output], phase: str) -> list[str]:
    """One line a value; ``phase`` is "Train" or "Test"."""
    lines = []
    for index, (blob, value, weight) in enumerate(outputs):
        share = f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
        lines.append(f"    {phase} net output #{index}: {blob} = {value:g}{share}")
    return lines


def multistep_line(iteration: int, step: int) -> str:
    """What lr_policy multistep says at each of its steps."""
    return f"MultiStep Status: Iteration {iteration}, step = {step}"


def snapshot_lines(model: Path, state: Path) -> list[str]:
    """The two lines of a snapshot."""
    kind = "HDF5" if model.suffix == ".h5" else "binary proto"
    return [f"Snapshotting to {kind} file {model}", f"Snapshotting solver state to {kind} file {state}"]


def finetuning_line(weights: Path | str) -> str:
    """Weights that a run starts from."""
    return f"Finetuning from {weights}"


def restoring_line(state: Path | str) -> str:
    """A run that goes on."""
    return f"Restoring previous solver status from {state}"


DONE = "Optimization Done."
STOPPED = "Optimization stopped early."
