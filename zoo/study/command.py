"""``zoo study``: every run of a study, each begun or resumed where it stands, several at a time."""

import argparse
from pathlib import Path

from prototxt.errors import InputError
from zoo import catalogue
from zoo.console import notice
from zoo.plan import make_plan
from zoo.study.carry import Engine, alone, carry_out
from zoo.study.display import StudyDisplay
from zoo.study.expand import expand, overridden
from zoo.study.file import Study, read_study
from zoo.study.job import Job
from zoo.study.local import Local, slots
from zoo.study.record import StudyRecord, still_to_do

_OVERRIDES = ("data", "max_iter", "batch_size", "size", "seeds")


def run(args: argparse.Namespace) -> int:
    """Carry a study out; its folder's path goes to stdout. 1 where a run did not reach its end."""
    path = catalogue.find_study(args.study)
    given = {name: getattr(args, name) for name in _OVERRIDES if getattr(args, name) is not None}
    study = overridden(read_study(path), given)
    folder = Path(args.output or f"runs/{path.stem}")
    jobs = settle(study, path, folder.absolute(), args.device)
    with alone(folder):
        to_do = still_to_do(jobs, args.retry)
        record = StudyRecord(folder, {"title": study.title, "file": str(path), "overrides": given}, jobs)
        with StudyDisplay(path.stem, to_do, len(jobs) - len(to_do)) as display:
            carry_out(to_do, pick_engine(args), record, display)
    for job, why in record.failures():
        notice(f"{job.name} did not reach its end: {why}")
    print(folder)
    return 1 if record.failures() else 0


def settle(study: Study, path: Path, folder: Path, device: str) -> list[Job]:
    """The study's jobs, every plan made. Raises InputError, naming the run, for one that cannot train."""
    jobs = []
    for planned in expand(study, str(path)):
        try:
            plan = make_plan(planned.options)
        except InputError as error:
            raise InputError(f"{path}: {planned.name}: {error}") from None
        extra = (f"--device={device}",)
        name = planned.name
        jobs.append(Job(name, planned.options, folder / name, plan.solver.max_iter, Path.cwd(), extra))
    return jobs


def pick_engine(args: argparse.Namespace) -> Engine:
    """What carries the runs out, as --engine and --jobs say."""
    import torch

    gpus = 0 if args.device == "cpu" else torch.cuda.device_count()
    return Local(slots(args.jobs, gpus))
