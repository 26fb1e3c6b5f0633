"""The iterations of a run, which the solver makes: what a run folder and a terminal get of them."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from converters.solver.log import events
from converters.solver.log.events import Event, Output, Scores, scores
from prototxt.rawbytes import readable
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_json import RunRecord
from zoo.train.running.display import Display
from zoo.train.running.signals import signals
from zoo.train.running.tensorboard_log import Recorder
from zoo.train.snapshots.snapshot import save
from zoo.train.trainer import DivergedError, Trainer

MOST_FIGURES = 8  # of a metric that are shown: more are a map, or a batch's own scores


def iterate(
    trainer: Trainer,
    folder: RunFolder,
    record: RunRecord,
    display: Display,
    recorders: Sequence[Recorder] = (),
) -> bool:
    """Iterate to max_iter; False where SIGINT or SIGTERM ended it before, with a snapshot written.

    SIGHUP writes a snapshot and goes on. Whichever rank a signal reaches, all follow it after the same
    iteration.
    """
    solver, log = trainer.solver, RunLog(trainer, folder, record, display, recorders)
    solver.listeners = (log, display)
    with signals(trainer.ranks.world == 1) as asked, display:

        def request() -> tuple[bool, bool]:
            stop, snapshot = trainer.ranks.any_of([asked.stop, asked.take_snapshot()])
            return stop, snapshot or stop

        solver.tell(events.Begun(readable(solver.net.graph.name) or readable(trainer.plan.name)))
        is_whole = solver.run_to(solver.message.max_iter, request, log.snapshot)
        if is_whole and trainer.ranks.is_first:
            log.end()
        solver.tell(events.Ended(is_whole))
    return is_whole


class RunLog:
    """Listens to a run's solver: writes metrics.jsonl, what else records its lines, and snapshots; rank 0
    alone writes.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        record: RunRecord,
        display: Display,
        recorders: Sequence[Recorder],
    ) -> None:
        self.trainer, self.folder, self.record = trainer, folder, record
        self.display, self.recorders = display, recorders
        self.meter = Meter(trainer.images_per_step)
        self.tests: list[Scores] = []  # before the iteration that runs

    def __call__(self, event: Event) -> None:
        """Take in what the solver tells. Raises DivergedError for a loss that is not finite."""
        match event:
            case events.LossesRead(losses):
                check_finite(losses)
            case events.Testing(net=0):
                self._settle()
            case events.Tested(outputs=outputs, loss=loss):
                self.tests.append(self._scores(outputs, loss))
            case events.Stepped(iteration, rate, seconds, is_displayed):
                self.meter.add(seconds)
                if self.trainer.ranks.is_first and (self.tests or is_displayed):
                    self._settle()
                    self._line(iteration, rate)

    def _settle(self) -> None:
        """Have a GPU end the steps that it was given, whose time this is."""
        start = time.perf_counter()
        self.trainer.solver.settle()
        self.meter.wait(time.perf_counter() - start)

    def _scores(self, outputs: Sequence[Output], loss: float) -> Scores:
        return scores(outputs) | ({"total_loss": loss} if self.trainer.plan.solver.test_compute_loss else {})

    def _line(self, iteration: int, rate: float) -> None:
        """A line of metrics.jsonl, shown as well."""
        solver, speed = self.trainer.solver, self.meter.take()
        # The schema keeps rates in float32: seven digits are all there are.
        entry: dict[str, Any] = {"iteration": iteration, "lr": float(f"{rate:.7g}")}
        entry |= {"loss": solver.smoothed_loss() if solver.losses else None, "images_per_second": speed}
        entry |= metrics(self.tests, taken=entry.keys())
        self.tests = []
        self.folder.append(entry)
        for record in self.recorders:
            record(entry)
        left = (solver.message.max_iter - iteration) * self.trainer.images_per_step
        self.display.show(entry, left / speed if speed else None)

    def snapshot(self) -> None:
        """Write one; ranks other than 0 go on to wait for it at their next sum."""
        if self.trainer.ranks.is_first:
            self._settle()
            self.display.saved(save(self.trainer, self.folder, self.record))

    def end(self) -> None:
        """The last snapshot, and the last line: losses as they stand and a test, our choice. Caffe tests at
        max_iter only where a test_interval ends, so that its log does not tell of ours.
        """
        solver = self.trainer.solver
        self._settle()
        if solver.message.snapshot_after_train and not self.folder.snapshot(solver.iter).is_file():
            self.snapshot()
        self.tests = [self._scores(*solver.test(index)) for index in range(len(solver.test_nets))]
        self._line(solver.iter, solver.update_rule.coming_rate(solver.iter))
        if self.display.wants_last_lines:
            solver.go_to(solver.iter, solver.update_rule.current_step)
            with self.trainer.unchanged():
                solver.show_last()


def check_finite(losses: Mapping[int, float]) -> None:
    """Raise DivergedError for the first of the losses, by iteration, that is no number."""
    for iteration, loss in losses.items():
        if not math.isfinite(loss):
            raise DivergedError(f"the loss is {loss} at iteration {iteration}", max(losses) + 1)


def metrics(results: Iterable[Scores], taken: Any) -> dict[str, float]:
    """The results of every test net by metrics.jsonl's names: the first net's are plain, or with ``test_``
    where that is taken, the others' ``test1/accuracy`` and so on; a metric of several figures has a number
    behind (``accuracy[0]``), and what has many is left out.
    """
    named: dict[str, float] = {}
    for index, outputs in enumerate(results):
        for blob, value in outputs.items():
            plain = f"test_{blob}" if blob in taken or blob == "total_loss" else blob
            name = f"test{index}/{blob}" if index else plain
            if isinstance(value, float):
                named[name] = value
            elif len(value) <= MOST_FIGURES:
                named |= {f"{name}[{place}]": each for place, each in enumerate(value)}
    return named


class Meter:
    """Training images a second since the last :meth:`take`; the first step of a process is warm-up."""

    def __init__(self, images_per_step: int) -> None:
        self.images_per_step = images_per_step
        self.seconds, self.steps, self.is_warm = 0.0, 0, False

    def add(self, seconds: float) -> None:
        """Take in how long one training step took."""
        if self.is_warm:
            self.seconds += seconds
            self.steps += 1
        self.is_warm = True

    def wait(self, seconds: float) -> None:
        """Take in how long the steps were waited for after that."""
        if self.steps:
            self.seconds += seconds

    def take(self) -> float | None:
        """The rate, and begin anew; None where only the warm-up has run."""
        rate = self.steps * self.images_per_step / self.seconds if self.steps else None
        self.seconds, self.steps = 0.0, 0
        return rate
