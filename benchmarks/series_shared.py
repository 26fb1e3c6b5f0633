"""A run that several studies of the series have is trained once: others take its finished folder."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from zoo.study.job import Job


def take_over(jobs: Iterable[Job], others: Iterable[Job]) -> list[str]:
    """Copy to each of the jobs that has not begun the finished run of another study with the same options;
    the names of those that were.
    """
    finished = {job.options: job.folder for job in others if job.state()[0] == "finished"}
    same = [(job, finished.get(job.options)) for job in jobs if job.state()[0] == "planned"]
    return [_copied(job, folder) for job, folder in same if folder]


def _copied(job: Job, folder: Path) -> str:
    beside = job.folder.with_name(f".{job.folder.name}.copying")  # appears whole or not at all
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(folder, beside)
    shutil.rmtree(job.folder, ignore_errors=True)  # what a run that never began has left
    beside.rename(job.folder)
    return job.name
