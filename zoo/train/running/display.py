"""What a running training shows: a live line in a terminal, plain lines in a pipe, or Caffe's own log."""

import sys
from datetime import datetime
from pathlib import Path
from threading import get_native_id
from types import TracebackType
from typing import Any

from rich.progress import TextColumn, TimeRemainingColumn
from rich.text import Text

from converters.solver.log.events import Debugged, Event, Stepped
from converters.solver.log.lines import CaffeLog
from prototxt.caffe_pb2 import SolverParameter
from zoo.terminal.console import stderr
from zoo.terminal.progress import Rate, bars


class Display:
    """What a run tells of itself: it listens to the solver. This one says nothing, as ranks other than 0 do.

    With ``wants_last_lines`` the run ends as Caffe's log does, with one more pass and test.
    """

    wants_last_lines = False

    def __enter__(self) -> "Display":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the terminal."""

    def __call__(self, event: Event) -> None:
        """Take in what the solver tells."""

    def show(self, entry: dict[str, Any], seconds_left: float | None) -> None:
        """A line of metrics was written."""

    def saved(self, path: Path) -> None:
        """A snapshot is on the disk."""


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

    def __call__(self, event: Event) -> None:
        """Move the bar; lines of debug_info go above it."""
        match event:
            case Stepped(iteration):
                self.progress.update(self.task, completed=iteration + 1)
            case Debugged(lines):
                for line in lines:
                    self.progress.console.print(Text(line), soft_wrap=True)

    def show(self, entry: dict[str, Any], seconds_left: float | None) -> None:
        """Take in a metrics line: into the live line, and printed as one line of text."""
        self.latest |= entry
        self.progress.update(self.task, status=_numbers(self.latest, "iteration", "images_per_second"))
        eta = f"  ETA {_duration(seconds_left)}" if seconds_left else ""
        is_past = entry["iteration"] > self.max_iter  # a snapshot of a longer run went on
        of = f" (max_iter {self.max_iter})" if is_past else f"/{self.max_iter}"
        text = f"{self.name} iteration {entry['iteration']}{of}  {_numbers(entry, 'iteration')}{eta}"
        self.progress.console.print(Text(text), soft_wrap=True)


class CaffeDisplay(Display):
    """Caffe's lines on stderr, with glog's prefix."""

    wants_last_lines = True

    def __init__(self, solver: SolverParameter) -> None:
        self.log = CaffeLog(solver, _print_stamped, is_timed=True)

    def __call__(self, event: Event) -> None:
        """Print an event's lines."""
        self.log(event)

    def saved(self, path: Path) -> None:
        """The line of a snapshot of ours, which Caffe has none of."""
        _print_stamped("solver.cpp:447", f"Snapshotting to {path}")


def _print_stamped(place: str, line: str) -> None:
    """``line`` as glog prints it: level, month and day, time, thread, place."""
    print(
        f"I{datetime.now():%m%d %H:%M:%S.%f} {get_native_id():5d} {place}] {line}",
        file=sys.stderr,
        flush=True,
    )


def _numbers(entry: dict[str, Any], *without: str) -> str:
    """The entry's numbers in a line."""
    numbers = {key: value for key, value in entry.items() if key not in without and value is not None}
    return "  ".join(f"{key} {value:.4g}" for key, value in numbers.items())


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
