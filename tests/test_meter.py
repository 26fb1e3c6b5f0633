"""images_per_second on a GPU, which runs steps after they were asked for."""

import time
from pathlib import Path

import pytest
from train_runs import train

from converters import CaffeSolver
from converters.solver.update.step import Process
from zoo.runs.run_folder import read_metrics


def test_a_test_does_not_hide_the_time_of_the_steps_before_it(
    solver: Path, monkeypatch: pytest.MonkeyPatch, without_export: None
) -> None:
    def late(self: CaffeSolver) -> None:
        time.sleep(0.1 * len(self._unread))
        settle(self)

    settle = CaffeSolver.settle
    monkeypatch.setattr(CaffeSolver, "settle", late)
    process = Process(reads_every_loss=False)
    monkeypatch.setattr("zoo.train.trainer.Process", lambda *given, **options: process)
    assert train(solver, "--set", "display: 0 snapshot: 0", "--output", "run") == 0
    speeds = [line["images_per_second"] for line in read_metrics(Path("run/metrics.jsonl"))]
    assert speeds[0] is None and all(speed < 6 / 0.1 for speed in speeds[1:])
