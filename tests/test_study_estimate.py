"""How long a study takes: what counts as one net, what is left of runs, and what is said before they begin."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.study.estimate import Kind, in_words, kinds, measure, say_how_long, spread
from zoo.study.expand import expand
from zoo.study.file import read_study
from zoo.study.job import Job
from zoo.study.steps import Taken

TAKEN = Taken(begin=3, step=0.5, test=2, end=4, on="CPU (a fast one)")
STUDY = """
title = "tiny"
solver = "data/solver.prototxt"
seeds = [0, 1]
[[runs]]
variants = ["baseline", "bn"]
changes = { low = "base_lr: 0.001", high = "base_lr: 0.002", adam = 'type: "Adam"' }
"""


def jobs_of(folder: Path, text: str = STUDY) -> list[Job]:
    path = folder / "tiny.toml"
    path.write_text(text)
    runs = expand(read_study(path), "tiny.toml")
    return [Job(run.name, run.options, folder / "runs" / run.name, 10, folder) for run in runs]


def test_runs_that_differ_in_rate_and_seed_take_the_same_steps(solver: Path) -> None:
    found = kinds(jobs_of(solver.parents[1]))
    assert {kind.name: len(kind.jobs) for kind in found} == {
        "baseline-low and 1 more": 4,
        "bn-low and 1 more": 4,
        "baseline-adam": 2,
        "bn-adam": 2,
    }
    assert {kind.test_interval for kind in found} == {4}


def job(done: int, max_iter: int) -> Any:
    return SimpleNamespace(name="net-seed0", left=lambda: max_iter - done)


def test_seconds_of_what_is_left_by_hand() -> None:
    kind = Kind((job(0, 10), job(6, 10)), test_interval=4)
    # 3 tests before iterations 0, 4 and 8, and one at the end; of the second before 8 and at the end
    assert kind.seconds(TAKEN) == [3 + 10 * 0.5 + 4 * 2 + 4, 3 + 4 * 0.5 + 2 * 2 + 4]
    assert Kind((job(0, 10),), test_interval=0).seconds(TAKEN) == [3 + 10 * 0.5 + 2 + 4]


def test_runs_side_by_side_end_with_the_last() -> None:
    assert spread([5, 1, 1, 4], 1) == 11
    assert spread([5, 1, 1, 4], 2) == 6  # 5 beside 1, 1 and 4
    assert spread([5], 3) == 5


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (119, "119 s"),
        (150, "2.5 min"),
        (1234, "21 min"),
        (7200, "2.0 h"),
        (86_400 * 12.4, "12 days"),
    ],
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_what_is_said_before_the_runs_begin(
    solver: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = jobs_of(solver.parents[1])
    folder = jobs[0].folder
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"iteration": 6}\n')
    monkeypatch.setattr("zoo.study.estimate.measure", lambda each, slots, device: [TAKEN for _ in each])
    say_how_long("tiny", jobs[:-1], jobs, [{}, {}], "cpu")
    lines = capsys.readouterr().err.splitlines()
    assert (
        lines[0] == "tiny: 11 of 12 runs left, 104 of 120 iterations; measuring a few steps of each of 4 nets"
    )
    assert lines[1] == "  baseline-low and 1 more: 0.5 s an iteration, 73 s for 4 runs"
    # eleven runs of 20 s, the first of 13 s, two at a time: 13 + 4·20 + … beside 6·20
    assert lines[-1] == "tiny: about 113 s on CPU (a fast one), 2 runs at a time"


def test_steps_are_measured_by_processes_that_leave_no_run(solver: Path) -> None:
    jobs = jobs_of(solver.parents[1])
    (taken,) = measure(kinds(jobs)[:1], [{"OMP_NUM_THREADS": "1"}], "cpu")
    assert min(taken.begin, taken.step, taken.test, taken.end) > 0 and taken.on.startswith("CPU (")
    assert not (solver.parents[1] / "runs").exists() and not list(solver.parent.glob("models*"))


ANSWERS = """#!/bin/sh
echo "{}"
while read question; do
  echo '{"begin": '$BEGIN', "step": 0.5, "test": 1.0, "end": 3.0, "on": "CPU (a slow one)"}'
done
"""


def test_the_mean_of_all_slots_counts_and_a_process_begins_besides(
    solver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = solver.parent / "answers"
    program.write_text(ANSWERS)
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    (taken,) = measure(kinds(jobs_of(solver.parents[1]))[:1], [{"BEGIN": "2"}, {"BEGIN": "5"}], "cpu")
    assert taken.begin > 3.5  # and not below: the processes' own beginning comes on top
    assert (taken.step, taken.test, taken.end, taken.on) == (0.5, 1.0, 3.0, "CPU (a slow one)")


def test_a_net_that_cannot_be_trained_has_no_time(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = jobs_of(solver.parents[1], 'title = "t"\nsolver = "data/solver.prototxt"\n[[runs]]\n')
    next(solver.parent.glob("*.png")).write_bytes(b"no image")
    say_how_long("tiny", jobs, jobs, [{}], "cpu")
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("tiny: how long that takes cannot be told: ") and "cannot be decoded" in last


def test_a_process_that_was_killed_is_no_more_than_a_time_that_is_not_known(
    solver: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = jobs_of(solver.parents[1])
    monkeypatch.setattr("sys.executable", "true")
    say_how_long("tiny", jobs, jobs, [{}, {}], "cpu")
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "tiny: how long that takes cannot be told: the process that measures has ended"
