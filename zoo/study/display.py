"""What a running study shows: a bar a run and one for all in a terminal, plain lines in a pipe."""

import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType

from rich.progress import TaskID, TextColumn
from rich.text import Text

from zoo.study.job import Job
from zoo.terminal.console import stderr
from zoo.terminal.progress import bars

_PAUSE = 60  # seconds between the lines in a pipe


class StudyDisplay:
    """Counts the iterations of all runs; those done before this process began do not count for the rate."""

    def __init__(self, name: str, jobs: Sequence[Job], finished: int) -> None:
        self.name, self.finished, self.runs = name, finished, len(jobs) + finished
        self.done = {job: job.iteration() for job in jobs}
        self.total = sum(job.max_iter for job in jobs)
        self.before, self.start, self.said = sum(self.done.values()), time.monotonic(), time.monotonic()
        self.seen = 0.0
        self.console = stderr()
        self.progress = bars(self.console, TextColumn("iterations  {task.fields[status]}"))
        self.task = self.progress.add_task(name, total=self.total, status="")
        self.tasks: dict[Job, TaskID] = {}

    def __enter__(self) -> "StudyDisplay":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def ended(self, job: Job, outcome: str) -> None:
        """A run is over: a line about it."""
        self.finished += 1
        self.done[job] = job.iteration()
        self.total -= job.max_iter - self.done[job]  # nobody waits for what a run that failed leaves undone
        if job in self.tasks:
            self.progress.remove_task(self.tasks.pop(job))
        self._say(f"{job.name}: {outcome}; {self.status()}")

    def look(self, running: Sequence[Job]) -> None:
        """See how far the running runs have come, once a second at most."""
        if time.monotonic() - self.seen < 1:
            return
        self.seen = time.monotonic()
        for job in running:
            self.done[job] = max(self.done[job], job.iteration())
            if job not in self.tasks:
                self.tasks[job] = self.progress.add_task(f"  {job.name}", total=job.max_iter, status="")
            self.progress.update(self.tasks[job], completed=self.done[job])
        self.progress.update(self.task, completed=sum(self.done.values()), status=self.status())
        if not self.console.is_terminal and time.monotonic() - self.said > _PAUSE:
            self._say(f"{self.name}: {sum(self.done.values())}/{self.total} iterations; {self.status()}")

    def _say(self, line: str) -> None:
        self.said = time.monotonic()
        self.progress.console.print(Text(line), soft_wrap=True)

    def status(self) -> str:
        """Runs that are over, rate and time left."""
        done = sum(self.done.values())
        rate = (done - self.before) / max(time.monotonic() - self.start, 1e-9)
        left = f"  ETA {timedelta(seconds=round((self.total - done) / rate))}" if rate else ""
        return f"{self.finished}/{self.runs} runs, {rate:.3g} iterations/s{left}"
