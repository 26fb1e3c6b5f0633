"""Train the studies of the series and keep what they show: ``make series``, or ``python benchmarks/series.py
--data FOLDER [STUDY …]``.

Every shipped study that asks a question is carried out by ``zoo study`` as its file says, and its rows go to
eval/results/series/STUDY.json, from which ``make readme`` fills docs/series.md. A study that was stopped, by
Ctrl-C or otherwise, goes on where it stood with the same command; one that is finished is only measured. A
run that several studies have is trained once.
Hours, with nothing else running: the first lines say how many here, and with ``--estimate`` that is all.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from series_rows import FOLDER, rows_of, write_rows
from series_shared import take_over

from prototxt.errors import InputError
from zoo.catalogue import find_study, studies
from zoo.cli import main as zoo
from zoo.study.command import planned_jobs
from zoo.study.estimate import say_how_long
from zoo.study.expand import overridden
from zoo.study.file import read_study
from zoo.study.job import Job
from zoo.study.local import slots

SETTINGS = ("size", "max_iter", "batch_size", "seeds")  # other than the study's own, for a try
CARRIED_OUT = (0, 1)  # exit codes of zoo study; 1: a run did not reach its end, which the rows say
Plans = Mapping[str, Sequence[Job]]  # the runs of each study
INTERRUPTED = 130  # what a command that Ctrl-C ended exits with, as zoo's do


def asking() -> list[str]:
    """The shipped studies that ask something."""
    return [name for name in studies() if read_study(find_study(name)).questions]


def given(options: argparse.Namespace) -> dict[str, int]:
    """The settings that were given."""
    return {key: value for key in SETTINGS if (value := getattr(options, key))}


def say_how_long_all(names: Sequence[str], plans: Plans, options: argparse.Namespace) -> None:
    """Say how long what is left of the studies will take here, from a few steps of each distinct net."""
    jobs = [job for name in names for job in plans[name]]
    left = [job for job in distinct(jobs) if job.state()[0] not in ("finished", "diverged")]
    if left:
        say_how_long("the series", left, jobs, slots(options.jobs, 0), options.device)


def distinct(jobs: Sequence[Job]) -> list[Job]:
    """One of the runs that are the same, a finished one before others."""
    finished_last = sorted(jobs, key=lambda job: job.state()[0] == "finished")
    return list({job.options: job for job in finished_last}.values())


def planned(name: str, options: argparse.Namespace) -> list[Job]:
    """A study's runs, as ``zoo study`` plans them."""
    path, settings = find_study(name), given(options) | {"data": options.data}
    study = overridden(read_study(path), settings)
    folder = (Path(options.runs) / path.stem).absolute()
    return planned_jobs(study, path, folder, argparse.Namespace(device=options.device, tensorboard=None))


def carried_out(name: str, plans: Plans, options: argparse.Namespace) -> int:
    """Train a study's runs and write its rows; the exit code of ``zoo study``. Of a study of which no run
    reached its end there are no rows, which is said.
    """
    stem = find_study(name).stem
    folder = Path(options.runs) / stem
    take_over(plans[name], (job for other in plans.values() for job in other))
    own = [f"--data={options.data}", f"--output={folder}", f"--jobs={options.jobs}"]
    settings = [f"--{key.replace('_', '-')}={value}" for key, value in given(options).items()]
    code = zoo(["study", name, *own, f"--device={options.device}", *settings])
    if code in CARRIED_OUT:
        try:
            write_rows(rows_of(folder), Path(options.rows) / f"{stem}.json")
        except InputError as error:
            print(f"{stem}: no rows: {error}", file=sys.stderr)
    return code


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help="default: all that ask something")
    parser.add_argument("--data", required=True, metavar="DIR", help="photographs, as for zoo study")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", default="runs/series", metavar="DIR", help="where runs go (%(default)s)")
    parser.add_argument("--rows", default=str(FOLDER), metavar="DIR", help="where rows go")
    parser.add_argument("--estimate", action="store_true", help="say how long it takes, and no more")
    for key in SETTINGS:
        parser.add_argument(f"--{key.replace('_', '-')}", type=int, metavar="N", help="for a try")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Every study after the other; stop where one is interrupted or cannot be begun."""
    options = parse(argv)
    names = options.studies or asking()
    try:
        begun = [name for name in asking() if (Path(options.runs) / name).is_dir()]
        plans = {name: planned(name, options) for name in {*begun, *names}}
        say_how_long_all(names, plans, options)
        for name in () if options.estimate else names:
            if (code := carried_out(name, plans, options)) not in CARRIED_OUT:
                return code
    except InputError as error:
        print(f"series: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
