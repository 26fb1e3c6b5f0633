"""What a running training shows: a live line in a terminal, plain lines in a pipe, or Caffe's own log."""

import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import TextColumn, TimeRemainingColumn
from rich.text import Text

from converters.solver import log as caffe_log
from prototxt.caffe_pb2 import SolverParameter
from zoo.terminal.console import stderr
from zoo.terminal.progress import Rate, bars

Outputs = Iterable[tuple[str, list[float], float]]  # blobs' names, values and loss weights


class Display:
    """What a run tells of itself; this one says nothing, as ranks other than 0 do."""

    wants_outputs = False

    def __enter__(self) -> "Display":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the terminal."""

    def advance(self, iteration: int) -> None:
        """So many iterations are done."""

    def show(self, entry: dict[str, Any], seconds_left: float | None) -> None:
        """A line of metrics was written."""

    def tested(self, iteration: int, net: int, outputs: Outputs) -> None:
        """A test net has its results."""

    def displayed(self, iteration: int, loss: float, outputs: Outputs) -> None:
        """An iteration that ``display`` asks for has its loss."""

    def rate_stepped(self, iteration: int, step: int) -> None:
        """lr_policy multistep has taken its ``step``-th step."""

    def rated(self, iteration: int, rate: float) -> None:
        """An iteration that ``display`` asks for has its rate."""

    def saved(self, path: Path) -> None:
        """A snapshot is on the disk."""

    def last_loss(self, iteration: int, loss: float) -> None:
        """The loss after the last update, where ``display`` asks for it."""

    def ended(self) -> None:
        """The run has reached max_iter."""

    def stopped(self) -> None:
        """The run was ended before."""


class TrainingDisplay(Display):
    """The live line of a training run: iteration, images/s, lr, loss, last test results, ETA."""

    def __init__(self, name: str, max_iter: int, images_per_step: int) -> None:
        self.console = stderr()
        self.name, self.max_iter = name, max_iter
        self.latest: dict[str, Any] = {}  # test results stay in sight until the next ones
        status = TextColumn("images  {task.fields[status]}  ETA")
        self.progress = bars(self.console, Rate(), status, TimeRemainingColumn())
        self.task = self.progress.add_task(name, total=max_iter, status="", each=images_per_step)

    def __enter__(self) -> "TrainingDisplay":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def advance(self, iteration: int) -> None:
        """Move the bar."""
        self.progress.update(self.task, completed=iteration)

    def show(self, entry: dict[str, Any], seconds_left: float | None) -> None:
        """Take in a metrics line: into the live line, and printed as one line of text."""
        self.latest |= entry
        self.progress.update(self.task, status=_told(self.latest, "iteration", "images_per_second"))
        eta = f"  ETA {_duration(seconds_left)}" if seconds_left else ""
        text = f"{self.name} iteration {entry['iteration']}/{self.max_iter}  {_told(entry, 'iteration')}{eta}"
        self.progress.console.print(Text(text), soft_wrap=True)


class CaffeLog(Display):
    """Caffe's lines on stderr, with glog's prefix."""

    wants_outputs = True

    def __init__(self, name: str, solver: SolverParameter) -> None:
        self.name, self.solver = name, solver
        self.last, self.since = 0, time.perf_counter()

    def _say(self, place: str, *lines: str) -> None:
        for line in lines:
            print(caffe_log.stamped(line, datetime.now(), place), file=sys.stderr, flush=True)

    def __enter__(self) -> "CaffeLog":
        self._say("solver.cpp:279", *caffe_log.solving_lines(self.name, self.solver.lr_policy))
        self.since = time.perf_counter()
        return self

    def tested(self, iteration: int, net: int, outputs: Outputs) -> None:
        """Caffe's lines of a test."""
        held = list(outputs)
        self._say("solver.cpp:337", caffe_log.testing_line(iteration, net))
        losses = [values[0] for name, values, _ in held if name == "total_loss"]
        if self.solver.test_compute_loss and losses:
            held = [output for output in held if output[0] != "total_loss"]
            self._say("solver.cpp:398", caffe_log.test_loss_line(losses[0]))
        self._say("solver.cpp:404", *caffe_log.output_lines(_flat(held), "Test"))

    def displayed(self, iteration: int, loss: float, outputs: Outputs) -> None:
        """Caffe's lines of a display."""
        now = time.perf_counter()
        seconds, steps = now - self.since, max(0, iteration - self.last)
        self.last, self.since = iteration, now
        line = caffe_log.loss_line(iteration, loss, self.solver.display, seconds, steps)
        self._say("solver.cpp:218", line)
        self._say("solver.cpp:237", *caffe_log.output_lines(_flat(outputs), "Train"))

    def rate_stepped(self, iteration: int, step: int) -> None:
        """Caffe's line of a step of the rate."""
        self._say("sgd_solver.cpp:50", caffe_log.multistep_line(iteration, step))

    def rated(self, iteration: int, rate: float) -> None:
        """Caffe's line of a rate."""
        self._say("sgd_solver.cpp:105", caffe_log.rate_line(iteration, rate))

    def saved(self, path: Path) -> None:
        """Caffe's line of a snapshot."""
        self._say("solver.cpp:447", f"Snapshotting to {path}")

    def last_loss(self, iteration: int, loss: float) -> None:
        """Caffe's loss after the last update."""
        self._say("solver.cpp:310", caffe_log.loss_line(iteration, loss))

    def ended(self) -> None:
        """Caffe's last line."""
        self._say("solver.cpp:315", caffe_log.DONE)

    def stopped(self) -> None:
        """Caffe's last line of a run that a signal ended."""
        self._say("solver.cpp:295", caffe_log.STOPPED)


def _told(entry: dict[str, Any], *without: str) -> str:
    """The entry's numbers in a line."""
    told = {key: value for key, value in entry.items() if key not in without and value is not None}
    return "  ".join(f"{key} {value:.4g}" for key, value in told.items())


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _flat(outputs: Outputs) -> list[caffe_log.Output]:
    """One entry a value, as Caffe lists them."""
    return [caffe_log.Output(blob, value, weight) for blob, values, weight in outputs for value in values]
