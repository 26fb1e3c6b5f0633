"""A process that takes a few steps of the nets that it is asked for: ``python -m zoo.study.steps``.

It says ``{}`` when it has begun. Each line on stdin is a JSON object of :class:`Asked`, answered by one on
stdout of :class:`Taken`, or by ``{"error": LINE}`` where the net cannot be trained; the end of stdin ends the
process. No run folder is written, and what is decoded lies in the cache for the runs.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from converters.solver.ahead import made_ahead
from eval.environment import processor
from eval.parity import write_onnx
from prototxt.errors import InputError
from zoo.train.planning.options import Options
from zoo.train.planning.plan import make_plan
from zoo.train.ranks import Ranks
from zoo.train.sources import open_feeds
from zoo.train.trainer import Trainer, keep_freed_memory, pick_device

_MOST_STEPS, _ENOUGH = 20, 1.0  # steps timed after the first, and the seconds after which no other one is
_SHARE = 20  # at most one iteration of so many is timed: a short study does not wait for its measuring


@dataclass(frozen=True)
class Asked:
    """A run's options, the folder that its paths count from, and the device."""

    options: Mapping[str, Any]
    place: str
    device: str


@dataclass(frozen=True)
class Taken:
    """Seconds of a run on a processor: to begin once images are decoded, an iteration, a test, to end."""

    begin: float
    step: float
    test: float
    end: float
    on: str


def measure(asked: Asked, end: float | None = None) -> Taken:
    """What a run takes, by training it for a few iterations. ``end``, where it is known from another net, is
    not measured again. Raises InputError for what the run would end with.
    """
    plan, device = make_plan(Options(**asked.options), Path(asked.place)), pick_device(asked.device)
    with made_ahead(open_feeds(plan, device, Ranks()).feeds):
        pass  # images are decoded, which is done once for all runs and so is none of this one's time
    start = time.perf_counter()
    with made_ahead(open_feeds(plan, device, Ranks()).feeds) as feeds:
        trainer = Trainer(plan, feeds, device, Ranks())
        begin = time.perf_counter() - start
        step, test = _step(trainer), _test(trainer)
        return Taken(begin, step, test, _end(trainer) if end is None else end, processor(device.type))


def _step(trainer: Trainer) -> float:
    """Seconds of an iteration; the first, in which memory is allotted, does not count."""
    trainer.solver.iterate()
    trainer.solver.settle()
    most = min(_MOST_STEPS, trainer.plan.solver.max_iter // _SHARE)
    start, steps = time.perf_counter(), 0
    while not steps or (steps < most and time.perf_counter() - start < _ENOUGH):
        trainer.solver.iterate()
        steps += 1
    trainer.solver.settle()
    return (time.perf_counter() - start) / steps


@torch.no_grad()
def _test(trainer: Trainer) -> float:
    """Seconds of a test of all test nets over their test_iter batches, of which one is timed."""
    total = 0.0
    for key, count in zip(trainer.plan.tests, trainer.plan.solver.test_iter, strict=False):
        trainer.nets[key].means(1)
        start = time.perf_counter()
        trainer.nets[key].means(1)
        total += count * (time.perf_counter() - start)
    return total


def _end(trainer: Trainer) -> float:
    """Seconds of the ONNX file that a run ends with; 0 for a net that has none."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(InputError):
        write_onnx(trainer.net.cpu(), Path(folder) / "model.onnx", [])
    return time.perf_counter() - start


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answer until the questions end."""
    end = None
    print("{}", file=answers, flush=True)
    for line in questions:
        try:
            taken = measure(Asked(**json.loads(line)), end)
            end = taken.end
            answer = asdict(taken)
        except (InputError, OSError, MemoryError) as error:
            answer = {"error": str(error).split("\n")[0]}
        print(json.dumps(answer), file=answers, flush=True)


def _main() -> None:
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what a library prints must not come between the answers
        keep_freed_memory()
        with contextlib.suppress(BrokenPipeError):
            serve(sys.stdin, answers)


if __name__ == "__main__":
    _main()
