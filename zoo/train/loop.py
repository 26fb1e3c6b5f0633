"""The iterations of a run: test, step, log, snapshot, in Caffe's order (Solver::Step)."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from prototxt.caffe_pb2 import SolverParameter
from zoo.runs.run_folder import RunFolder
from zoo.train.display import Display
from zoo.train.events import Recorder
from zoo.train.signals import signals
from zoo.train.snapshot import save
from zoo.train.trainer import Trainer

Results = list[dict[str, Tensor]]  # of every test net, its outputs


def iterate(
    trainer: Trainer, folder: RunFolder, display: Display, recorders: Sequence[Recorder] = ()
) -> bool:
    """Iterate to max_iter; False where SIGINT or SIGTERM ended it before, with a snapshot written.

    SIGHUP writes a snapshot and goes on. Whichever rank a signal reaches, all follow it after the same
    iteration.
    """
    solver, log = trainer.plan.solver, Log(trainer, folder, display, recorders)
    with signals(trainer.ranks.world == 1) as asked, display:
        while trainer.iteration < solver.max_iter:
            step(trainer, log)
            stop, snapshot = trainer.ranks.any_of([asked.stop, asked.take_snapshot()])
            if stop or snapshot or due(trainer.iteration, solver.snapshot):
                log.snapshot()
            if stop:
                break
        is_whole = trainer.iteration >= solver.max_iter
        if trainer.ranks.is_first:
            log.end() if is_whole else display.stopped()
    return is_whole


def step(trainer: Trainer, log: "Log") -> None:
    """One iteration, tested before and logged after where the solver asks for it."""
    solver = trainer.plan.solver
    is_displayed = due(trainer.iteration, solver.display)
    tested = log.test() if tests_now(trainer, solver) else None
    rate, iteration, before = trainer.rate, trainer.iteration, trainer.solver.current_step
    with log.meter.step():
        trainer.step()
        if trainer.device.type == "cpu" or is_displayed or tested is not None:
            trainer.settle()
    if trainer.ranks.is_first and (is_displayed or tested is not None):
        log.line(iteration, rate, tested)
    log.stepped(iteration, rate, is_displayed, trainer.solver.current_step != before)
    log.display.advance(trainer.iteration)


def due(iteration: int, interval: int) -> bool:
    """Whether an interval of the solver ends at ``iteration``; 0 never does."""
    return interval > 0 and iteration % interval == 0


def tests_now(trainer: Trainer, solver: SolverParameter) -> bool:
    """Whether Caffe tests before this iteration (Solver::Step); rank 0 alone does."""
    is_due = "TEST" in trainer.nets and due(trainer.iteration, solver.test_interval)
    return is_due and (trainer.iteration > 0 or solver.test_initialization)


class Log:
    """Where a run's results go: metrics.jsonl, what else records them, the display and snapshots."""

    def __init__(
        self, trainer: Trainer, folder: RunFolder, display: Display, recorders: Sequence[Recorder]
    ) -> None:
        self.trainer, self.folder, self.display, self.recorders = trainer, folder, display, recorders
        self.meter = Meter(trainer.images_per_step)

    def test(self) -> Results:
        """Test every test net, in the solver's order."""
        results = []
        for index, key in enumerate(self.trainer.plan.tests):
            results.append(self.trainer.test(key))
            named = self.trainer.named(key, results[-1]) if self.display.wants_outputs else []
            self.display.tested(self.trainer.iteration, index, named)
        return results

    def last_test(self) -> Results:
        """The test that ends a run's metrics, at max_iter: our choice. Caffe makes it only where a
        test_interval ends, so that its log does not tell of it.
        """
        return [self.trainer.test(key) for key in self.trainer.plan.tests]

    def line(self, iteration: int, rate: float, tested: Results | None) -> None:
        """A line of metrics.jsonl, shown as well."""
        trainer, loss = self.trainer, self.trainer.loss()
        # The schema keeps rates in float32: seven digits are all there are.
        entry: dict[str, Any] = {"iteration": iteration, "lr": float(f"{rate:.7g}"), "loss": loss}
        entry["images_per_second"] = speed = self.meter.take()
        entry |= metrics(tested or [], taken=entry.keys())
        self.folder.append(entry)
        for record in self.recorders:
            record(entry)
        left = (trainer.plan.solver.max_iter - iteration) * trainer.images_per_step
        self.display.show(entry, left / speed if speed else None)

    def stepped(self, iteration: int, rate: float, is_displayed: bool, is_next_rate: bool) -> None:
        """What Caffe logs of an iteration, in its order (Solver::Step, SGDSolver::ApplyUpdate)."""
        trainer, display = self.trainer, self.display
        loss = trainer.loss() if is_displayed else None
        if loss is not None:
            named = trainer.named("TRAIN", trainer.outputs) if display.wants_outputs else []
            display.displayed(iteration, loss, named)
        if is_next_rate and trainer.plan.solver.lr_policy == "multistep":
            display.rate_stepped(iteration, trainer.solver.current_step or 0)
        if is_displayed:
            display.rated(iteration, rate)

    def snapshot(self) -> None:
        """Write one; ranks other than 0 go on to wait for it at their next sum."""
        if self.trainer.ranks.is_first:
            self.trainer.settle()  # nothing is saved that a label out of range has taught
            path = self.folder.snapshot(self.trainer.iteration)
            save(self.trainer, path, self.folder.run_id)
            self.display.saved(path)

    def end(self) -> None:
        """The last snapshot, and the last line: losses as they stand and a last test."""
        trainer = self.trainer
        trainer.settle()
        path = self.folder.snapshot(trainer.iteration)
        if trainer.plan.solver.snapshot_after_train and not path.is_file():
            self.snapshot()
        self.line(trainer.iteration, trainer.rate, self.last_test() if trainer.plan.tests else None)
        if self.display.wants_outputs:
            self._last_pass()
        self.display.ended()

    def _last_pass(self) -> None:
        """What Caffe's log ends with (Solver::Solve): the loss of one more forward pass, and a test where
        an interval ends. It serves the log alone: nothing else sees what the pass does to BatchNorm's sums.
        """
        trainer, solver = self.trainer, self.trainer.plan.solver
        with trainer.unchanged():
            if due(trainer.iteration, solver.display):
                self.display.last_loss(trainer.iteration, trainer.last_loss())
            if due(trainer.iteration, solver.test_interval):
                self.test()


def metrics(results: Results, taken: Any) -> dict[str, float]:
    """The scalar results of every test net by metrics.jsonl's names: the first net's are plain, or with
    ``test_`` where that is taken, the others' ``test1/accuracy`` and so on.
    """
    found: dict[str, float] = {}
    for index, outputs in enumerate(results):
        for blob, value in outputs.items():
            if value.numel() == 1:
                plain = f"test_{blob}" if blob in taken or blob == "total_loss" else blob
                found[f"test{index}/{blob}" if index else plain] = value.item()
    return found


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
