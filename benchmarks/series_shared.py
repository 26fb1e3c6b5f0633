"""A run that several studies of the series have is trained once: others take its finished folder."""

import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from prototxt.caffe_pb2 import SolverParameter
from zoo.study.job import Job
from zoo.train.planning.plan import make_plan

Key = tuple[int | None, bytes, tuple[bytes, ...]]


@cache
def key_of(job: Job) -> Key:
    """What decides a run's every bit: the seed, the solver and the nets that it trains, wherever they lie."""
    plan = make_plan(job.options, job.place)
    solver = SolverParameter.FromString(plan.solver.SerializeToString())
    solver.ClearField("net")  # a name; what it names is in nets
    nets = tuple(net.message.SerializeToString(deterministic=True) for net in plan.nets.values())
    return job.options.seed, solver.SerializeToString(deterministic=True), nets


def take_over(jobs: Iterable[Job], others: Iterable[Job]) -> list[str]:
    """Copy to each of the jobs that has not begun the finished run of another study that is the same; the
    names of those that were.
    """
    finished = {key_of(job): job.folder for job in others if job.state()[0] == "finished"}
    same = [(job, finished.get(key_of(job))) for job in jobs if job.state()[0] == "planned"]
    return [_copied(job, folder) for job, folder in same if folder]


def _copied(job: Job, folder: Path) -> str:
    beside = job.folder.with_name(f".{job.folder.name}.copying")  # appears whole or not at all
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(folder, beside)
    shutil.rmtree(job.folder, ignore_errors=True)  # what a run that never began has left
    beside.rename(job.folder)
    return job.name
