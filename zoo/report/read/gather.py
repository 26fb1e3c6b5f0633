"""Reading a folder of runs, and measuring what has not been measured: everything a report draws on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.robustness import CONDITIONS, Condition
from prototxt.errors import InputError
from zoo.bench.command import trained, write_json
from zoo.bench.measure import measure_models
from zoo.bench.models import HERE, Elsewhere, Model
from zoo.bench.row import Row
from zoo.bench.timing import Settings
from zoo.report.measure.images import open_list
from zoo.report.measure.measured import Measured, measure_run
from zoo.report.read.results import OtherList, Results, check_same_data, read_rows
from zoo.report.read.runs import FinishedRun, group_runs, read_run
from zoo.report.say.wording import Words, count
from zoo.study.study_json import RunEntry, StudyJson, read_study_json
from zoo.terminal.console import notice

_BATCHES, _PRECISIONS = (1, 8, 64), ("fp32", "int8")  # what the report's tables hold


def gather(
    folder: Path,
    title: str | None,
    words: Words,
    where: Elsewhere = HERE,
    conditions: Sequence[Condition] = CONDITIONS,
    is_benched: bool = True,
) -> tuple[Results, StudyJson | None]:
    """The results of the finished runs of ``folder``, and its study.json where a study made it; without sizes
    and latencies where not ``is_benched``.

    Raises InputError where no run is finished, runs are on different data, or a file cannot be read.
    """
    models = trained(folder, where)
    study = read_study_json(folder)
    planned = [entry["name"] for entry in study["runs"]] if study else []
    known = [read_run(m) for m in sorted(models, key=lambda model: model.path.parent.name not in planned)]
    runs, twice = _distinct(known)
    if where.list is None:
        check_same_data(runs)
    measured, failed = _measured(runs, folder, words, conditions)
    runs = [run for run in runs if run.path in measured]
    groups = group_runs(runs, planned)
    other = _other_list(runs[0], where)
    rows = _rows(folder, models, runs, other) if is_benched else {}
    notes = [*_cut_short(folder, known, study, words), *_doubled(twice, folder, words), *failed]
    heading = title or (study.get("title") if study else None) or _title(groups, words)
    return Results(folder, heading, groups, measured, rows, notes, other, conditions), study


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
    runs: Sequence[FinishedRun], folder: Path, words: Words, conditions: Sequence[Condition]
) -> tuple[dict[Path, Measured], list[str]]:
    """(what was measured of each run, a line about each that could not be). InputError where none could."""
    measured: dict[Path, Measured] = {}
    errors: dict[Path, InputError] = {}
    for run in runs:
        try:
            measured[run.path] = measure_run(run.model, conditions)
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
    folder: Path, models: Sequence[Model], runs: Sequence[FinishedRun], other: OtherList | None
) -> Mapping[Path, Sequence[Row]]:
    """What `zoo bench` measured of the runs; where it has measured nothing yet, all ``models`` are measured
    now, and the rows are kept.
    """
    path = folder / "bench.json"
    if not path.is_file():
        notice(f"{path}: not there; measuring size and latency, as zoo bench does")
        write_json(path, measure_models(models, Settings(_BATCHES, _PRECISIONS)))
    rows = read_rows(path, runs, other)
    for run in runs:
        if not rows[run.path]:
            notice(f"{path}: has nothing about {run.path.name}; zoo bench measures anew")
        elif other and rows[run.path][0]["top1"] is None:
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
