"""The iterations of a run: test, step, log, snapshot, in Caffe's order (Solver::Step)."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prototxt.caffe_pb2 import SolverParameter
from zoo.display import TrainingDisplay
from zoo.run_folder import RunFolder
from zoo.trainer import Trainer


def iterate(trainer: Trainer, folder: RunFolder) -> bool:
    """Iterate to max_iter; False where SIGINT ended it before, with a snapshot written."""
    solver = trainer.plan.solver
    meter = Meter(trainer.images_per_step)
    display = TrainingDisplay(trainer.plan.name, solver.max_iter, trainer.images_per_step)
    with interruptible() as is_stopped, display:
        while trainer.iteration < solver.max_iter:
            losses_due = due(trainer.iteration, solver.display)
            tested = trainer.test() if tests_now(trainer, solver) else None
            rate, iteration = trainer.rate, trainer.iteration
            with meter.step():
                trainer.step()
                if trainer.device.type == "cpu" or losses_due or tested is not None:
                    trainer.settle()
            if losses_due or tested is not None:
                log(trainer, folder, display, meter, iteration, rate, tested)
            display.advance(trainer.iteration)
            if due(trainer.iteration, solver.snapshot) or is_stopped():
                trainer.save(folder.snapshot(trainer.iteration))
            if is_stopped():
                break
        is_whole = trainer.iteration >= solver.max_iter
        if is_whole:
            trainer.settle()
            tested = trainer.test() if "TEST" in trainer.nets else None
            log(trainer, folder, display, meter, trainer.iteration, trainer.rate, tested)
    return is_whole


def due(iteration: int, interval: int) -> bool:
    """Whether an interval of the solver ends at ``iteration``; 0 never does."""
    return interval > 0 and iteration % interval == 0


def tests_now(trainer: Trainer, solver: SolverParameter) -> bool:
    """Whether Caffe tests before this iteration (Solver::Step)."""
    is_due = "TEST" in trainer.nets and due(trainer.iteration, solver.test_interval)
    return is_due and (trainer.iteration > 0 or solver.test_initialization)


def log(
    trainer: Trainer,
    folder: RunFolder,
    display: TrainingDisplay,
    meter: "Meter",
    iteration: int,
    rate: float,
    tested: dict[str, float] | None,
) -> None:
    """A line of metrics.jsonl, shown as well."""
    # The schema keeps rates in float32: seven digits are all there are.
    entry: dict[str, Any] = {"iteration": iteration, "lr": float(f"{rate:.7g}"), "loss": trainer.loss()}
    entry["images_per_second"] = meter.take()
    for blob, value in (tested or {}).items():
        entry[f"test_{blob}" if blob in entry else blob] = value
    folder.append(entry)
    left = trainer.plan.solver.max_iter - iteration
    speed = entry["images_per_second"]
    display.show(entry, left * trainer.images_per_step / speed if speed else None)


class Meter:
    """Training images a second since the last :meth:`take`; the first step of a process is warm-up."""

    def __init__(self, images_per_step: int) -> None:
        self.images_per_step = images_per_step
        self.seconds, self.steps, self.is_warm = 0.0, 0, False

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time one training step."""
        start = time.perf_counter()
        yield
        if self.is_warm:
            self.seconds += time.perf_counter() - start
            self.steps += 1
        self.is_warm = True

    def take(self) -> float | None:
        """The rate, and begin anew; None where only the warm-up has run."""
        rate = self.steps * self.images_per_step / self.seconds if self.steps else None
        self.seconds, self.steps = 0.0, 0
        return rate


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """In the block the first SIGINT sets a flag, which the yielded function reads; a second one ends."""
    stopped: list[bool] = []

    def stop(number: int, frame: object) -> None:
        if stopped:
            raise KeyboardInterrupt
        stopped.append(True)
        print("stopping after this iteration (Ctrl-C again: at once)", file=sys.stderr)

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield lambda: bool(stopped)
    finally:
        signal.signal(signal.SIGINT, previous)
