"""A run that several studies of the series have is trained once: others take its finished folder."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from converters.host.files import whole_folder
from zoo.study.job import Job


def take_over(jobs: Iterable[Job], others: Iterable[Job]) -> list[str]:
    """Copy to each of the jobs that has not begun the finished run of another study with the same options;
    the names of those that were.
    """
    finished = {job.options: job.folder for job in others if job.state()[0] == "finished"}
    same = [(job, finished.get(job.options)) for job in jobs if job.state()[0] == "planned"]
    return [_copied(job, folder) for job, folder in same if folder]


def _copied(job: Job, folder: Path) -> str:
    shutil.rmtree(job.folder, ignore_errors=True)  # what a run that never began has left
    with whole_folder(job.folder) as beside:
        shutil.copytree(folder, beside, dirs_exist_ok=True)
    return job.name
