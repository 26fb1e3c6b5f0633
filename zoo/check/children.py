"""Files side by side, a process a file, so that one that takes too much time or memory ends alone."""

import os
import resource
import signal
from collections.abc import Generator, Sequence
from dataclasses import replace
from multiprocessing import forkserver, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from threading import Thread
from typing import Any

from zoo.check.row import CheckJob, Row


def check_all(jobs: Sequence[CheckJob], at_a_time: int) -> Generator[Row, None, None]:
    """A row for every file, as they end; whoever stops asking ends the processes that still run."""
    _start_server()
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


def _start_server() -> None:
    """Start what the processes are forked from, with torch loaded. Ctrl-C is for this process, which ends
    them: it is blocked there from the first instruction on, and so it is in all that are forked.
    """
    forkserver.set_forkserver_preload(["zoo.check.one_file"])
    resource_tracker.ensure_running()  # by itself, for it lets Ctrl-C through when it has started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
        except (EOFError, OSError):  # OSError: it was ended half-way through a row
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

    Thread(target=_end_with_parent, daemon=True).start()
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


def _end_with_parent() -> None:
    """What a thread waits for: the check has ended, be it by a kill, which lets nobody tidy up."""
    parent = parent_process()
    assert parent, "this is a process of a check"
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
