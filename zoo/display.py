"""What a running training shows: a live line in a terminal, plain lines in a pipe."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from zoo.console import stderr


class _Rate(ProgressColumn):
    """Items per second over the last few seconds."""

    def render(self, task: Task) -> Text:
        """The task's speed as text."""
        return Text(f"{task.speed * task.fields.get('each', 1):.0f}/s" if task.speed else "-/s")


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with rate and ETA for ``done, total`` calls; in a pipe, a line every ten seconds."""
    console = stderr()
    if not console.is_terminal:
        yield _Lines(what)
        return
    columns = (
        SpinnerColumn(),
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _Lines:
    """Prints how far a count has come, at most every ten seconds, and its end."""

    def __init__(self, what: str) -> None:
        self.what, self.start, self.shown = what, time.monotonic(), time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.shown < 10 and done < total:
            return
        self.shown = now
        rate = done / max(now - self.start, 1e-9)
        left = "" if done == total else f", {(total - done) / rate:.0f} s left"
        stderr().print(f"{self.what}: {done}/{total}, {rate:.3g}/s{left}")


class TrainingDisplay:
    """The live line of a training run: iteration, images/s, lr, loss, last test results, ETA."""

    def __init__(self, name: str, max_iter: int, images_per_step: int) -> None:
        self.console = stderr()
        self.name, self.max_iter = name, max_iter
        self.latest: dict[str, Any] = {}  # test results stay in sight until the next ones
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("images  {task.fields[status]}  ETA"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
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


def _told(entry: dict[str, Any], *without: str) -> str:
    """The entry's numbers in a line."""
    told = {key: value for key, value in entry.items() if key not in without and value is not None}
    return "  ".join(f"{key} {value:.4g}" for key, value in told.items())


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
