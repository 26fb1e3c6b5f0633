"""Reading a folder of runs, and measuring what has not been measured: everything a report draws on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from eval.robustness import CONDITIONS, Condition
from prototxt.errors import InputError
from zoo.bench.command import trained, write_json
from zoo.bench.measure import measure_models
from zoo.bench.models import HERE, Elsewhere, Model
from zoo.bench.row import Row, is_judged
from zoo.bench.timing import Settings
from zoo.report.measure.images import open_list
from zoo.report.measure.measured import Measured, measure_run
from zoo.report.measure.summed import sum_run
from zoo.report.read.figures import Figures
from zoo.report.read.gathered import OtherList
from zoo.report.read.results import Results, check_same_data, read_rows
from zoo.report.read.runs import FinishedRun, Group, group_runs, read_run
from zoo.report.say.wording import Words, count
from zoo.study.study_json import RunEntry, StudyJson, read_study_json, titled
from zoo.terminal.console import notice

M = TypeVar("M")
_BATCHES, _PRECISIONS = (1, 8, 64), ("fp32", "int8")  # what the report's tables hold


@dataclass(frozen=True)
class Reading:
    """The finished runs of a folder, and its study.json where a study made it. ``known`` are all of them,
    ``runs`` one of every kind and seed, ``twice`` each other one with that.
    """

    folder: Path
    where: Elsewhere
    models: Sequence[Model]
    known: Sequence[FinishedRun]
    runs: Sequence[FinishedRun]
    twice: Sequence[tuple[FinishedRun, FinishedRun]]
    study: StudyJson | None

    @property
    def planned(self) -> list[str]:
        """The names of the study's run folders."""
        return [entry["name"] for entry in self.study["runs"]] if self.study else []

    def notes(self, failed: Sequence[str], words: Words) -> list[str]:
        """A line about each run that is not in the report or is cut short."""
        cut = _cut_short(self.folder, self.known, self.study, words)
        return [*cut, *_doubled(self.twice, self.folder, words), *failed]

    def title(self, asked: str | None, groups: Sequence[Group], words: Words) -> str:
        """The report's title: as asked, as the study says, or as the groups are."""
        return asked or (titled(self.study, words.language) if self.study else None) or _title(groups, words)


def read_folder(folder: Path, where: Elsewhere = HERE) -> Reading:
    """Raises InputError where no run is finished, or runs are on different data or judged by different
    things.
    """
    models = trained(folder, where)
    study = read_study_json(folder)
    planned = [entry["name"] for entry in study["runs"]] if study else []
    known = [read_run(m) for m in sorted(models, key=lambda model: model.path.parent.name not in planned)]
    runs, twice = _distinct(known)
    if where.list is None:
        check_same_data(runs)
    tasks = {run.model.task.name: run for run in runs}
    if len(tasks) > 1:
        named = " and ".join(f"{run.path} by {name}" for name, run in tasks.items())
        raise InputError(f"{named}: are judged by different things, which no report compares")
    return Reading(folder, where, models, known, runs, twice, study)


def gather(
    folder: Path,
    title: str | None,
    words: Words,
    where: Elsewhere = HERE,
    conditions: Sequence[Condition] = CONDITIONS,
    is_benched: bool = True,
) -> tuple[Results, StudyJson | None]:
    """The results of the finished runs of a folder of classifiers, and its study.json where a study made it.

    Raises InputError as :func:`read_folder`, and where a file cannot be read.
    """
    reading = read_folder(folder, where)
    return results_of(reading, title, words, conditions, is_benched), reading.study


def results_of(
    reading: Reading,
    title: str | None,
    words: Words,
    conditions: Sequence[Condition] = CONDITIONS,
    is_benched: bool = True,
) -> Results:
    """What classifiers were measured to do; without sizes and latencies where not ``is_benched``. Raises
    InputError where a file cannot be read.
    """

    def measure(run: FinishedRun) -> Measured:
        return measure_run(run.model, conditions)

    measured, failed = _measured(reading.runs, reading.folder, words, measure)
    runs = [run for run in reading.runs if run.path in measured]
    groups, other = group_runs(runs, reading.planned), _other_list(runs[0], reading.where)
    return Results(
        folder=reading.folder,
        title=reading.title(title, groups, words),
        groups=groups,
        rows=_rows(reading, runs, other) if is_benched else {},
        notes=reading.notes(failed, words),
        judged_by=other,
        measured=measured,
        conditions=conditions,
    )


def figures_of(reading: Reading, title: str | None, words: Words) -> Figures:
    """The same of nets that are judged by figures made of sums over photographs."""
    summed, failed = _measured(reading.runs, reading.folder, words, lambda run: sum_run(run.model))
    runs = [run for run in reading.runs if run.path in summed]
    groups, where = group_runs(runs, reading.planned), reading.where
    other = OtherList(where.list, summed[runs[0].path].content) if where.list else None
    return Figures(
        folder=reading.folder,
        title=reading.title(title, groups, words),
        groups=groups,
        rows=_rows(reading, runs, other),
        notes=reading.notes(failed, words),
        judged_by=other,
        summed=summed,
    )


def _distinct(runs: Sequence[FinishedRun]) -> tuple[list[FinishedRun], list[tuple[FinishedRun, FinishedRun]]]:
    """(the first run of every kind and seed, each other one with that): twins would count one training as
    two."""
    firsts: dict[object, FinishedRun] = {}
    twice = []
    for run in runs:
        first = firsts.setdefault((run.kind, run.seed), run)
        if first is not run:
            twice.append((run, first))
    return list(firsts.values()), twice


def _measured(
    runs: Sequence[FinishedRun], folder: Path, words: Words, measure: Callable[[FinishedRun], M]
) -> tuple[dict[Path, M], list[str]]:
    """(what was measured of each run, a line about each that could not be). InputError where none could."""
    measured: dict[Path, M] = {}
    errors: dict[Path, InputError] = {}
    for run in runs:
        try:
            measured[run.path] = measure(run)
        except InputError as error:
            errors[run.path] = error
    if not measured:
        raise next(iter(errors.values()))
    names = {path: path.relative_to(folder).as_posix() for path in errors}
    return measured, [words("cut.unmeasured", run=names[path], reason=errors[path]) for path in errors]


def _other_list(run: FinishedRun, where: Elsewhere) -> OtherList | None:
    """The list that --list names, with its content as the run reads it; None without."""
    return OtherList(where.list, open_list(run.model, "TEST").content) if where.list else None


def _rows(
    reading: Reading, runs: Sequence[FinishedRun], other: OtherList | None
) -> Mapping[Path, Sequence[Row]]:
    """What `zoo bench` measured of the runs; where it has measured nothing yet, all models are measured now,
    and the rows are kept.
    """
    path = reading.folder / "bench.json"
    if not path.is_file():
        notice(f"{path}: not there; measuring size and latency, as zoo bench does")
        write_json(path, measure_models(reading.models, Settings(_BATCHES, _PRECISIONS)))
    rows = read_rows(path, runs, other)
    for run in runs:
        if not rows[run.path]:
            notice(f"{path}: has nothing about {run.path.name}; zoo bench measures anew")
        elif other and not is_judged(rows[run.path][0]):
            notice(
                f"{path}: has no accuracy of {run.path.name} on {other.path}; zoo bench --list measures it"
            )
    return rows


def _cut_short(
    folder: Path, known: Sequence[FinishedRun], study: StudyJson | None, words: Words
) -> list[str]:
    """A line for each run that is unfinished, missing, failed or shorter than planned."""
    entries = {entry["name"]: entry for entry in study["runs"]} if study else {}
    paths = {run.path for run in known}
    names = {path.name for path in paths}
    left_out = [path.parent for path in sorted(folder.rglob("run.json")) if path.parent not in paths]
    lines = [
        words("cut.unfinished", run=path.relative_to(folder).as_posix())
        for path in left_out
        if path.name not in entries
    ]
    lines += [_state(entry, words) for name, entry in entries.items() if name not in names]
    return lines + [line for run in known if (line := _shortened(run, entries.get(run.path.name), words))]


def _state(entry: RunEntry, words: Words) -> str:
    name, state = entry["name"], entry.get("state")
    if state in ("failed", "diverged"):
        reason = str(entry.get("reason") or "–")
        return words("cut.failed", run=name, state=words.translated("state", state), reason=reason)
    return words("cut.missing" if state == "planned" else "cut.unfinished", run=name)


def _shortened(run: FinishedRun, entry: RunEntry | None, words: Words) -> str | None:
    planned, done = entry.get("max_iter") if entry else None, run.record["iteration"]
    if not planned or done >= planned:
        return None
    return words("cut.short", run=run.path.name, iterations=count(done), planned=count(planned))


def _doubled(twice: Sequence[tuple[FinishedRun, FinishedRun]], folder: Path, words: Words) -> list[str]:
    names = [[run.path.relative_to(folder).as_posix() for run in pair] for pair in twice]
    return [words("cut.twice", run=run, other=other) for run, other in names]


def _title(groups: Sequence[Any], words: Words) -> str:
    net = groups[0].first.record["net"] or groups[0].first.record["name"]
    if len(groups) == 1:
        return words("title.one", net=net, group=groups[0].label)
    edits = {edit for group in groups for edit in group.variant}
    is_article = any(edit.startswith(("dropout", "bn", "fc")) for edit in edits)
    return words("title", net=net) if is_article else words("title.any", net=net, count=len(groups))
