"""Runs of a study as tasks of Ray, on this machine or on a cluster whose machines share the folders."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

from converters.host.files import LOCK, locked
from converters.layers.plugins import VARIABLE
from prototxt.errors import InputError
from zoo.study.job import Job, search_path
from zoo.terminal.console import notice

_PAUSE = 0.2  # seconds between looks at a run
_AGAIN = 20  # seconds after which a run that does not end is interrupted once more


class OnRay:
    """One task a run, with its CPUs and GPUs declared; Ray decides where and when it runs.

    Connects as the user's environment says (RAY_ADDRESS, or a Ray that runs here) and else starts a Ray of
    its own. ``jobs`` is how many runs share a machine. Raises InputError without the package ray.
    """

    def __init__(self, jobs: int | None, use_gpus: bool) -> None:
        self.ray = _ray()
        variables = {"PYTHONPATH": search_path(), VARIABLE: os.environ.get(VARIABLE, "")}
        self.ray.init(log_to_driver=False, runtime_env={"env_vars": variables})
        machines = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        self.share = shares(machines, jobs, use_gpus)
        self.pending: dict[Any, Job] = {}
        self.since = time.time()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand the runs to Ray."""
        # A task whose worker dies may leave its process behind: Ray must not begin a second beside it.
        task = self.ray.remote(max_retries=0, **self.share)(_train)
        threads = {"OMP_NUM_THREADS": str(self.share["num_cpus"])}
        self.pending |= {task.remote(job, threads): job for job in jobs}

    def running(self) -> list[Job]:
        """The runs that have said something and not ended."""
        return [job for job in self.pending.values() if _changed(job.log) >= self.since]

    def ended(self) -> list[tuple[Job, int]]:
        """The runs that have ended since the last call, with exit codes."""
        if not self.pending:
            return []
        done, _ = self.ray.wait(list(self.pending), num_returns=len(self.pending), timeout=0)
        return [(self.pending.pop(reference), self._code(reference)) for reference in done]

    def _code(self, reference: Any) -> int:
        try:
            return int(self.ray.get(reference))
        except self.ray.exceptions.RayError as error:
            notice(f"Ray: {str(error).splitlines()[0]}")
            return 1

    def stop(self) -> None:
        """Have every run write a snapshot and end.

        Ray's interrupt of a task's worker may be lost, so it is sent until the task has ended. Ray may also
        count a cancelled task as ended before that, and a Ray of our own takes its workers along when it
        ends, their runs not told: so the runs' own locks are waited for.
        """
        left = list(self.pending)
        while left:
            for reference in left:
                self.ray.cancel(reference)
            _, left = self.ray.wait(left, num_returns=len(left), timeout=_AGAIN)
        for lock in (job.folder / LOCK for job in self.pending.values()):
            if lock.is_file():
                with locked(lock):
                    """The run has let go of its folder."""


def _train(job: Job, environment: Mapping[str, str]) -> int:
    """The task: a run's exit code. Cancelled, it ends the run with a snapshot."""
    process = job.start(environment)
    try:
        while (code := process.poll()) is None:
            time.sleep(_PAUSE)  # Ray's interrupt reaches Python, and would not end a wait inside the kernel
        return code
    except KeyboardInterrupt:
        _end(process)
        raise


def _end(process: Popen[bytes]) -> None:
    """Have a run write its snapshot and end, however often the task is interrupted once more."""
    while process.poll() is None:
        with suppress(KeyboardInterrupt):
            process.send_signal(signal.SIGTERM)
            process.wait()


def shares(
    machines: Sequence[Mapping[str, float]], jobs: int | None, use_gpus: bool
) -> dict[str, int | float]:
    """What one run is given (num_cpus, num_gpus) where ``jobs`` share a machine, the smallest deciding.

    Without ``jobs`` one run a GPU, or one a machine.
    """
    able = [machine for machine in machines if machine.get("CPU", 0) >= 1]
    if not able:
        raise InputError("--engine ray: no machine of this Ray has a CPU to give")
    gpus = min(machine.get("GPU", 0) for machine in able) if use_gpus else 0
    count = jobs or max(1, int(gpus))
    cpus = max(1, int(min(machine["CPU"] for machine in able)) // count)
    return {"num_cpus": cpus, "num_gpus": min(1, gpus / count)}


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.is_file() else 0


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError("--engine ray needs the package ray: pip install 'caffe-zoo[ray]'") from None
    return ray
