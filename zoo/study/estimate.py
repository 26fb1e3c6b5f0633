"""How long a study's runs are going to take, from a few steps of each distinct net."""

import heapq
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from statistics import mean
from types import TracebackType
from typing import Any, NamedTuple

from prototxt.errors import InputError
from zoo.study.job import Job, environment_of
from zoo.study.steps import Asked, Taken
from zoo.terminal.console import notice
from zoo.terminal.progress import counting
from zoo.train.planning.options import Options
from zoo.train.planning.plan import Plan, make_plan

_NUMBERS = ("begin", "step", "test", "end")  # of Taken
Slots = Sequence[Mapping[str, str]]  # the environment of each of the runs at a time


@dataclass(frozen=True)
class Kind:
    """Runs whose steps are alike: of the same nets, batches and optimiser, whatever rates and seed."""

    jobs: tuple[Job, ...]
    test_interval: int

    @property
    def name(self) -> str:
        """The first run's, without its seed, and how many more names there are."""
        names = list(dict.fromkeys(job.name.rpartition("-seed")[0] for job in self.jobs))
        return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")

    def seconds(self, taken: Taken) -> list[float]:
        """What is left of each run: its beginning, its iterations and tests, its ONNX file."""
        left = [job.left() for job in self.jobs]
        tests = [1 + (-(-count // self.test_interval) if self.test_interval else 0) for count in left]
        ends = taken.begin + taken.end
        return [ends + a * taken.step + b * taken.test for a, b in zip(left, tests, strict=True)]


def kinds(jobs: Sequence[Job]) -> list[Kind]:
    """The runs by what their steps are. Raises InputError as ``make_plan`` does."""
    known: dict[Options, _Steps] = {}
    groups: dict[_Steps, list[Job]] = {}
    for job in jobs:
        options = replace(job.options, seed=None)
        if options not in known:
            known[options] = _steps(make_plan(options, job.place))
        groups.setdefault(known[options], []).append(job)
    return [Kind(tuple(group), steps.test_interval) for steps, group in groups.items()]


class _Steps(NamedTuple):
    """What decides how long a run's steps take, and how many tests it makes."""

    test_interval: int
    test_iter: tuple[int, ...]
    type: str
    iter_size: int
    nets: tuple[bytes, ...]


def _steps(plan: Plan) -> _Steps:
    solver, nets = plan.solver, plan.nets.values()
    texts = tuple(net.message.SerializeToString(deterministic=True) for net in nets)
    return _Steps(solver.test_interval, tuple(solver.test_iter), solver.type, solver.iter_size, texts)


def say_how_long(name: str, jobs: Sequence[Job], every: Sequence[Job], slots: Slots, device: str) -> None:
    """Say, on stderr, how long ``jobs``, those left of ``every``, take, as many at a time as there are slots.

    What cannot be trained has no time: that is said, and the runs then end with their reason.
    """
    each = kinds(jobs)
    nets = "its net" if len(each) == 1 else f"each of {len(each)} nets"
    notice(f"{name}: {_extent(jobs, every)}; measuring a few steps of {nets}")
    try:
        measured = measure(each, slots, device)
    except InputError as error:
        notice(f"{name}: how long that takes cannot be told: {error}")
        return
    seconds = [kind.seconds(taken) for kind, taken in zip(each, measured, strict=True)]
    for kind, taken, needed in zip(each, measured, seconds, strict=True):
        count = f"{len(needed)} run{'s' * (len(needed) > 1)}"
        notice(f"  {kind.name}: {taken.step:.3g} s an iteration, {in_words(sum(needed))} for {count}")
    total = in_words(spread([run for needed in seconds for run in needed], len(slots)))
    at_a_time = f"{len(slots)} run{'s' * (len(slots) > 1)} at a time"
    notice(f"{name}: about {total} on {measured[0].on}, {at_a_time}")


def _extent(jobs: Sequence[Job], every: Sequence[Job]) -> str:
    left, total = sum(job.left() for job in jobs), sum(job.max_iter for job in every)
    runs = f"{len(every)} run{'s' * (len(every) > 1)}"
    if left == total:
        return f"{runs}, {total:,} iterations"
    return f"{len(jobs)} of {runs} left, {left:,} of {total:,} iterations"


def measure(each: Sequence[Kind], slots: Slots, device: str) -> list[Taken]:
    """What runs of each kind take, the mean over a process a slot, all at work at once as the runs will be.

    Raises InputError for a net that cannot be trained.
    """
    taken = []
    with _Workers(slots) as workers, counting("measuring") as advance:
        for number, kind in enumerate(each, 1):
            job = kind.jobs[0]
            taken.append(workers.mean(Asked(asdict(job.options), str(job.place), device)))
            advance(number, len(each))
    return taken


class _Workers:
    """A process of :mod:`zoo.study.steps` a slot."""

    def __init__(self, slots: Slots) -> None:
        command = [sys.executable, "-P", "-m", "zoo.study.steps"]
        self.processes = [
            subprocess.Popen(
                command,
                env=environment_of(slot),
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for slot in slots
        ]
        start = time.monotonic()
        for process in self.processes:
            _line(process)
        self.beginning = time.monotonic() - start  # of a process, before it knows its net

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            if kind is not None:
                process.kill()
            process.communicate()

    def mean(self, asked: Asked) -> Taken:
        """The mean of what every process takes."""
        for process in self.processes:
            assert process.stdin
            with suppress(BrokenPipeError):  # one that has ended has no answer either
                process.stdin.write(json.dumps(asdict(asked)) + "\n")
                process.stdin.flush()
        every = [_answer(process) for process in self.processes]
        numbers = {name: mean(getattr(taken, name) for taken in every) for name in _NUMBERS}
        numbers["begin"] += self.beginning
        return replace(every[0], **numbers)


def _answer(process: "subprocess.Popen[str]") -> Taken:
    answer = _line(process)
    if "error" in answer:
        raise InputError(answer["error"])
    return Taken(**answer)


def _line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    answer: dict[str, Any] = json.loads(line) if line else {"error": "the process that measures has ended"}
    return answer


def spread(seconds: Sequence[float], count: int) -> float:
    """When the last of some runs ends that begin in order, ``count`` at a time."""
    ends = [0.0] * count
    for run in seconds:
        heapq.heappush(ends, heapq.heappop(ends) + run)
    return max(ends)


def in_words(seconds: float) -> str:
    """Seconds, minutes, hours or days, by size, in two digits or so."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{int(seconds < 10 * size)}f} {unit}"
    return f"{seconds:.0f} s"
