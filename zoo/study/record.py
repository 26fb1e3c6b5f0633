"""study.json: which runs a study plans and how each stands, for the report to read."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from converters.host.files import as_json, write_text
from prototxt.text import read_solver
from zoo.ours import keep_others
from zoo.runs.resume import begun_with, check_kept, differs
from zoo.runs.run_folder import RunFolder, read_record
from zoo.runs.run_json import dialects_in
from zoo.study.job import Job
from zoo.study.study_json import NAME, RunEntry, StudyJson, StudySource
from zoo.terminal.console import notice
from zoo.train.planning.options import check_begun
from zoo.train.planning.plan import make_plan


class StudyRecord:
    """A study's record. ``about`` says where it comes from; a run's state is planned, begun, finished,
    diverged or failed, the last two with a reason. Raises InputError where the file is another program's.
    """

    def __init__(self, folder: Path, about: StudySource, jobs: Sequence[Job]) -> None:
        self.path, self.about, self.jobs = folder / NAME, about, jobs
        self.failed: dict[Job, str] = {}  # of this session: what neither ended nor diverged
        keep_others(self.path, "study", _is_record)
        self.write()

    def write(self) -> None:
        """Write the file, with the runs' states as their folders tell them."""
        runs = [self._entry(job) for job in self.jobs]
        study: StudyJson = {**self.about, "runs": runs}
        write_text(self.path, as_json(study) + "\n")

    def _entry(self, job: Job) -> RunEntry:
        state, why = self._state(job)
        return {
            "name": job.name,
            "state": state,
            "reason": why or None,
            "max_iter": job.max_iter,
            "options": asdict(job.options),
        }

    def _state(self, job: Job) -> tuple[str, str]:
        return ("failed", self.failed[job]) if job in self.failed else job.state()

    def ended(self, job: Job, code: int) -> str:
        """Take in that a run's process has ended with ``code``; what became of the run, in a line."""
        state, why = job.state()
        if state not in ("finished", "diverged"):
            state, why = "failed", job.last_words(code)
            self.failed[job] = why
        self.write()
        return f"{state}: {why}" if why else state

    def failures(self) -> list[tuple[Job, str]]:
        """The runs that diverged or failed, with the reason."""
        states = [(job, *self._state(job)) for job in self.jobs]
        return [(job, why) for job, state, why in states if state in ("diverged", "failed")]


def _is_record(path: Path) -> bool:
    record = json.loads(path.read_text(encoding="utf-8"))
    return isinstance(record, dict) and isinstance(record.get("runs"), list) and "title" in record


def still_to_do(jobs: Sequence[Job], retry: bool) -> list[Job]:
    """The jobs that have to run: neither finished nor, unless ``retry``, diverged with the same settings.

    Raises InputError for a folder whose run was begun with other settings or data, unless that diverged:
    such a run begins afresh.
    """
    left = []
    for job in jobs:
        state, why = job.state()
        if state != "planned":
            _check(job, state)
        state, _ = job.state()
        if state == "diverged" and not retry:
            notice(f"{job.name}: not tried again (--retry does): {why}")
        elif state != "finished":
            left.append(job)
    return left


def _check(job: Job, state: str) -> None:
    record = read_record(job.folder) or {}
    goes_on = dialects_in(record) if state != "diverged" else {}
    saved, plan = begun_with(job.folder, record), make_plan(job.options, job.place, goes_on)
    own = RunFolder.of(job.folder, plan.solver)
    if state != "diverged":
        check_begun(job.folder, saved, asdict(job.options))
        check_kept(own, record, plan)
    elif differs(own, record, saved, plan):
        notice(f"{job.name}: diverged with other settings, beginning afresh")
        RunFolder.of(job.folder, read_solver(job.folder / "solver.prototxt")).clear()
