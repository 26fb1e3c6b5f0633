"""Counts that show how far they have come: a live line in a terminal, plain lines in a pipe."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
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

from prototxt.rawbytes import readable
from zoo.terminal.console import stderr


class Rate(ProgressColumn):
    """Items per second over the last few seconds."""

    def render(self, task: Task) -> Text:
        """The task's speed as text."""
        return Text(f"{task.speed * task.fields.get('each', 1):.0f}/s" if task.speed else "-/s")


def bars(console: Console, *columns: ProgressColumn) -> Progress:
    """Live lines of a name, a bar, a count and ``columns``; nothing is drawn in a pipe."""
    first = (TextColumn("[bold]{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    return Progress(*first, *columns, console=console, disable=not console.is_terminal)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with rate and ETA for ``done, total`` calls; in a pipe, a line every ten seconds."""
    what, console = readable(what), stderr()
    if not console.is_terminal:
        yield _Lines(what)
        return
    columns = (
        SpinnerColumn(),
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
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
