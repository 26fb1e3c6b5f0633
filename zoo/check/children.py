"""Files side by side, a process a file, so that one that takes too much time or memory ends alone."""

import os
import resource
import signal
from collections.abc import Generator, Sequence
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any

from zoo.check.row import CheckJob, Row


def check_all(jobs: Sequence[CheckJob], at_a_time: int) -> Generator[Row, None, None]:
    """A row for every file, as they end; whoever stops asking ends the processes that still run."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["zoo.check.one_file"])
    waiting = list(reversed(jobs))
    running: dict[Any, _Child] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_a_time:
                child = _Child(waiting.pop())
                running[child.reader] = child
            for reader in set(wait(list(running))) & running.keys():
                if running[reader].has_ended():
                    yield running.pop(reader).row()
    finally:
        for child in running.values():
            child.process.kill()


class _Child:
    """A process that checks one file, and the last that it has told."""

    def __init__(self, job: CheckJob) -> None:
        context = get_context("forkserver")
        self.job, self.last = job, Row(job.name)
        self.reader, writer = context.Pipe(duplex=False)
        self.process: ForkServerProcess = context.Process(target=_check, args=(job, writer), daemon=True)
        self.process.start()
        writer.close()

    def has_ended(self) -> bool:
        """Take in what it tells."""
        try:
            self.last = self.reader.recv()
        except EOFError:
            return True
        return False

    def row(self) -> Row:
        """The last word, with what ended the process where that was no word of its own."""
        self.process.join()
        self.reader.close()
        code = self.process.exitcode or 0
        if self.last.reason or self.last.ran:
            return self.last
        return replace(self.last, reason=_why_ended(self.job, code))


def _why_ended(job: CheckJob, code: int) -> str:
    if code == -signal.SIGALRM:
        return job.too_long
    if code in (-signal.SIGKILL, -signal.SIGABRT):  # no memory: the system's own end, or C++'s
        return job.too_large
    return f"its process ended by {signal.Signals(-code).name if code < 0 else code}"


def _check(job: CheckJob, writer: Connection) -> None:
    """What the process does: the system ends it when its time is over, and gives it no more memory."""
    import torch

    from zoo.check.one_file import check_file

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(job.seconds)
    resource.setrlimit(resource.RLIMIT_DATA, (job.memory, job.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    torch.set_num_threads(job.threads)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    check_file(job, writer.send)
    writer.close()
