"""Carrying out the runs of a study, on this machine or on a cluster."""

import time
from collections.abc import Sequence
from typing import Protocol

from zoo.study.display import StudyDisplay
from zoo.study.job import Job
from zoo.study.record import StudyRecord
from zoo.terminal.console import notice
from zoo.train.running.signals import interruptible

_PAUSE = 0.2  # seconds between looks at the runs


class Executor(Protocol):
    """What runs them."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take in the runs, in the order in which they are to begin."""

    def running(self) -> list[Job]:
        """The runs that have begun and not ended."""

    def ended(self) -> list[tuple[Job, int]]:
        """The runs that have ended since the last call, with their exit codes."""

    def stop(self) -> None:
        """Have every run write a snapshot and end."""


def run_jobs(jobs: Sequence[Job], engine: Executor, record: StudyRecord, display: StudyDisplay) -> None:
    """Run every job to its end; one that fails does not stop the others. On SIGINT or SIGTERM the running
    ones write snapshots and end, and KeyboardInterrupt is raised.
    """
    left = len(jobs)
    with interruptible():
        try:
            engine.submit(jobs)
            while left:
                for job, code in engine.ended():
                    left -= 1
                    display.ended(job, record.ended(job, code))
                display.look(engine.running())
                time.sleep(_PAUSE)
        except KeyboardInterrupt:
            notice("stopping: the runs write snapshots; the same command goes on (Ctrl-C again: at once)")
            engine.stop()
            record.write()
            raise
