"""How long deploy nets take: a process for each, all alive at once, computing by turns."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from eval.speed.engines import TimingJob
from eval.speed.rounds import CountImages, Samples, interleave
from prototxt.errors import InputError

TOLERANCE = 1e-3  # of an output's largest absolute value: runtimes order their sums differently


@dataclass(frozen=True)
class Latency:
    """A job's samples by batch size, and what it ran on."""

    samples: dict[int, Samples]
    provider: str
    processor: str


class Worker:
    """A process that computes when it is asked. It ends with the ``with`` block, by an error too."""

    def __init__(self, job: TimingJob) -> None:
        self.job = job
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed in __exit__
        self.process = subprocess.Popen(
            # -P: a file eval.py in the user's folder must not stand in for this package.
            [sys.executable, "-P", "-m", "eval.speed.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={**os.environ, **_environment(job.threads)},
            process_group=0,  # the terminal's Ctrl-C is for the parent, which ends the workers itself
        )
        self.runs_on: dict[str, str] = {}

    def __enter__(self) -> "Worker":
        self._send(asdict(self.job))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            if hasattr(os, "killpg"):  # with a compiler that it may have started
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
        self.process.communicate()
        self.log.close()

    def open(self) -> None:
        """Wait until the engine stands. Raises InputError where it cannot."""
        self.runs_on = self._receive()

    def times(self, batch: int, calls: int) -> list[float]:
        """Seconds of each of ``calls`` calls at ``batch``, after untimed ones."""
        seconds: list[float] = self._ask(batch=batch, calls=calls)["seconds"]
        return seconds

    def outputs(self, batch: int) -> list[np.ndarray[Any, np.dtype[Any]]]:
        """The outputs for a batch of the job's own pixels."""
        with tempfile.TemporaryDirectory(prefix="zoo-outputs-") as folder:
            path = Path(folder) / "outputs.npz"
            self._ask(batch=batch, save=str(path))
            with np.load(path, allow_pickle=False) as arrays:
                return [arrays[name] for name in arrays.files]

    def _ask(self, **question: Any) -> dict[str, Any]:
        self._send(question)
        return self._receive()

    def _send(self, question: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def _receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise self._died()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise InputError(self._named(answer["error"]))
        return answer

    def _died(self) -> InputError:
        code = self.process.wait()
        self.log.seek(0)
        said = self.log.read().strip().splitlines()
        return InputError(self._named(f"the measuring process died (exit {code}){_last(said)}"))

    def _named(self, reason: str) -> str:
        is_model = self.job.runtime == "onnxruntime" or not self.job.prototxt
        path = self.job.model if is_model else self.job.prototxt
        return reason if reason.startswith((path, "provider ")) else f"{path}: {self.job.runtime}: {reason}"


def _last(lines: Sequence[str]) -> str:
    return f": {lines[-1]}" if lines else ""


def _environment(threads: int) -> dict[str, str]:
    """This package first, and one compiling process: a pool of them would outlive its turn."""
    return {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OMP_NUM_THREADS": str(threads),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }


@contextmanager
def workers(jobs: Sequence[TimingJob]) -> Iterator[list[Worker]]:
    """A process for every job, started together; all are gone when the block ends."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(job)) for job in jobs]


def time_by_turns(
    processes: Sequence[Worker], batches: Sequence[Sequence[int]], runs: int, advance: CountImages
) -> list[Latency]:
    """Time open workers, each at its batch sizes: about ``runs`` calls at batch 1, and as many images."""
    samples = interleave(processes, batches, runs, advance)
    return [Latency(times, **worker.runs_on) for worker, times in zip(processes, samples, strict=True)]


def check_agreement(worker: Worker, reference: Worker, batch: int) -> None:
    """Raise InputError where a runtime's outputs are not the reference's, within TOLERANCE of the scale."""
    pairs = zip(worker.outputs(batch), reference.outputs(batch), strict=True)
    for ours, theirs in pairs:
        same = ours.size == theirs.size
        scale = float(np.abs(theirs).max()) or 1.0  # nothing but zeros: then all must be
        largest = float(np.abs(ours.reshape(theirs.shape) - theirs).max()) if same else float("inf")
        if not largest <= TOLERANCE * scale:
            names = f"{worker.job.runtime} and {reference.job.runtime}"
            what = f"differ by {largest / scale:.1e} of the output's scale (at most {TOLERANCE:g})"
            raise InputError(f"{reference.job.model}: {names} {what}: not the same net, so not timed")
