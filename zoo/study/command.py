"""``zoo study``: every run of a study, each begun or resumed where it stands, several at a time."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from converters.host.files import alone_in
from converters.host.places import existing_folder
from prototxt.errors import InputError
from zoo import catalogue
from zoo.cli.choices import RUNS
from zoo.data.demo import TRAIN_LIST, VAL_LIST
from zoo.data.importing import ImportChoice, import_folder
from zoo.runs.identity import as_key, before_data
from zoo.study.carry import Executor, run_jobs
from zoo.study.display import StudyDisplay
from zoo.study.estimate import say_how_long
from zoo.study.expand import expand, overridden
from zoo.study.file import Study, read_study
from zoo.study.job import Job
from zoo.study.local import Local, slots
from zoo.study.on_ray import OnRay
from zoo.study.record import StudyRecord, still_to_do
from zoo.study.study_json import StudySource
from zoo.terminal.console import notice
from zoo.train.planning.options import Options
from zoo.train.planning.plan import lists_wanted, make_plan
from zoo.train.running.signals import outlasting_terminal
from zoo.train.running.tensorboard_log import check_installed

_OVERRIDES = ("data", "max_iter", "batch_size", "size", "seeds", "skip_bad")


def run(args: argparse.Namespace) -> int:
    """Carry a study out; its folder's path goes to stdout. 1 where a run did not reach its end."""
    path = catalogue.find_study(args.study)
    overrides = {name: getattr(args, name) for name in _OVERRIDES if getattr(args, name) is not None}
    study = overridden(read_study(path), overrides)
    if study.data is not None:
        existing_folder(study.data, "--data ")
    folder = Path(args.output or f"{RUNS}/{path.stem}")
    if args.tensorboard:
        check_installed()
    jobs = planned_jobs(study, path, folder.absolute(), args)
    with outlasting_terminal(), alone_in(folder) as lock:
        to_do = still_to_do(jobs, args.retry)
        engine = pick_executor(args, lock.fileno())
        record = StudyRecord(folder, source_of(study, args.study, overrides), jobs)
        if to_do:
            say_how_long(path.stem, to_do, jobs, slots_of(args), args.device)
        with StudyDisplay(path.stem, to_do, len(jobs) - len(to_do)) as display:
            run_jobs(to_do, engine, record, display)
    for job, why in record.failures():
        notice(f"{job.name} did not reach its end: {why}")
    print(folder)
    return 1 if record.failures() else 0


def source_of(study: Study, file: str, overrides: Mapping[str, Any]) -> StudySource:
    """What study.json says of where the study comes from, and of what it asks."""
    questions = [asdict(question) for question in study.questions]
    return {
        "title": study.title,
        "title_zh": study.title_zh,
        "file": file,
        "overrides": overrides,
        "questions": questions,
    }


def planned_jobs(study: Study, path: Path, folder: Path, args: argparse.Namespace) -> list[Job]:
    """The study's jobs, every plan made. Raises InputError, naming the run, for one that cannot train, and
    for two alike but in name, of which a report would count one alone.
    """
    runs, jobs = expand(study, str(path)), []
    known: dict[object, str] = {}
    provide_lists(runs[0].options)
    for planned in runs:
        try:
            plan = make_plan(planned.options)
        except InputError as error:
            raise InputError(f"{path}: {planned.name}: {error}") from None
        twin = known.setdefault((planned.options.seed, as_key(before_data(plan))), planned.name)
        if twin != planned.name:
            names = " and ".join(name.rpartition("-seed")[0] for name in (twin, planned.name))
            raise InputError(f"{path}: the runs {names} are the same; leave one out")
        extra = [f"--device={args.device}"]
        if args.tensorboard:
            extra.append(f"--tensorboard={Path(args.tensorboard).absolute() / planned.name}")
        own = folder / planned.name
        jobs.append(Job(planned.name, planned.options, own, plan.solver.max_iter, Path.cwd(), tuple(extra)))
    return jobs


def provide_lists(options: Options) -> None:
    """Make the lists of a folder of images that has none, where the runs want those that would be made."""
    lists = {TRAIN_LIST, VAL_LIST}
    if options.root is None or lists_wanted(options) != lists:
        return
    folder = Path(options.root)
    if folder.is_dir() and not any((folder / name).is_file() for name in lists):
        notice(f"{folder}: has no list files, making them as zoo data import does")
        import_folder(folder, ImportChoice())


def pick_executor(args: argparse.Namespace, lock: int) -> Executor:
    """What carries the runs out, as --engine and --jobs say; ``lock`` is the study's file descriptor."""
    if args.engine == "ray":
        return OnRay(args.jobs, use_gpus=args.device != "cpu")
    return Local(slots_of(args), lock)


def slots_of(args: argparse.Namespace) -> list[dict[str, str]]:
    """What each of the runs at a time has of this machine, as --jobs and --device say; for a cluster, one."""
    gpus = 0 if args.device == "cpu" else torch.cuda.device_count()
    return slots(1 if args.engine == "ray" else args.jobs, gpus)
