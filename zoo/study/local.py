"""Runs of a study as processes of this machine, some at a time, each with its share of it."""

import os
import signal
import subprocess
from collections.abc import Sequence

from converters.host.machine import cores
from zoo.study.job import Job


class Local:
    """Keeps as many runs going as there are slots; a slot is the environment that tells a run its share.

    ``lock`` is an open file that the runs keep open: who holds it can tell that one is left.
    """

    def __init__(self, slots: Sequence[dict[str, str]], lock: int) -> None:
        self.free, self.lock = list(slots), lock
        self.waiting: list[Job] = []
        self.processes: dict[Job, tuple[subprocess.Popen[bytes], dict[str, str]]] = {}

    def running(self) -> list[Job]:
        """The runs that have begun and not ended."""
        return list(self.processes)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take in the runs, in the order in which they are to begin."""
        self.waiting.extend(jobs)

    def ended(self) -> list[tuple[Job, int]]:
        """The runs that have ended since the last call, with exit codes; others begin in their place."""
        done = []
        for job, (process, slot) in list(self.processes.items()):
            if (code := process.poll()) is not None:
                done.append((job, code))
                del self.processes[job]
                self.free.append(slot)
        while self.waiting and self.free:
            job, slot = self.waiting.pop(0), self.free.pop(0)
            self.processes[job] = job.start(slot, [self.lock]), slot
        return done

    def stop(self) -> None:
        """Have every run write a snapshot and end; interrupted in this, end them at once."""
        self.waiting.clear()
        processes = [process for process, _ in self.processes.values()]
        try:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait()
        except KeyboardInterrupt:
            for process in processes:
                process.kill()
            raise


def slots(jobs: int | None, gpus: int) -> list[dict[str, str]]:
    """What each of the runs at a time may use: a GPU, in turn, and its part of the threads.

    Without ``jobs`` one run a GPU, or one. OMP_NUM_THREADS, where the user has set it, stands.
    """
    count = jobs or max(1, gpus)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
    cards = [{"CUDA_VISIBLE_DEVICES": card} for card in visible.split(",")[:gpus]] or [{}]
    return [cards[index % len(cards)] | threads(count) for index in range(count)]


def threads(jobs: int) -> dict[str, str]:
    """The environment that gives each of ``jobs`` runs its part of the processor's threads."""
    if jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, cores() // jobs))}
