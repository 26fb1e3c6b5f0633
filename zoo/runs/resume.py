"""Whether a run folder's run is the one that is asked for, so that it may go on or count as finished."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prototxt.errors import InputError
from zoo.runs.contents import data_of, listed_rows, row_sums
from zoo.runs.first_row import first_other_row
from zoo.runs.identity import check_same, of_plan
from zoo.runs.run_folder import RunFolder, read_record
from zoo.runs.run_json import RunRecord
from zoo.terminal.console import notice_once
from zoo.train.images.dataset import ImageSet, fingerprint
from zoo.train.planning.options import FILES, Options
from zoo.train.planning.plan import Plan


def begun_in(record: RunRecord) -> Path:
    """The folder that a run's relative paths count from: that in which it was begun, while it is there."""
    places = record.get("places") or []
    here = record.get("here") or (places[-2] if len(places) > 1 else None)  # before it was recorded
    return Path(here) if here is not None and Path(here).is_dir() else Path.cwd()


def begun_with(folder: Path, record: RunRecord) -> Options:
    """The options that a folder's run was begun with. Raises InputError for another program's run.json, and
    for options of a later version.
    """
    options = record.get("options")
    if not isinstance(options, dict):
        raise InputError(f"{folder / 'run.json'}: is no record of a run; move it away to begin one")
    if strange := options.keys() - vars(Options()).keys():
        raise InputError(f"{folder}: was begun with options that are not known here: {', '.join(strange)}")
    return Options(**options)


def counted_from(options: Mapping[str, Any], here: Path) -> dict[str, Any]:
    """Options as given in the current folder, their paths absolute where the run counts from another."""
    if here.resolve() == Path.cwd().resolve():
        return dict(options)
    return {
        name: str(Path(value).absolute()) if name in FILES and Path(value).exists() else value
        for name, value in options.items()
    }


def check_kept(folder: RunFolder, record: RunRecord, plan: Plan) -> None:
    """Raise InputError, with the first difference, where the folder keeps results of another run than
    ``plan``'s: of other classes, data, nets or another solver.
    """
    if folder.snapshots() or record.get("finished"):
        _check_same(folder, record, plan)


def _check_same(folder: RunFolder, record: RunRecord, plan: Plan) -> None:
    def first_row(key: str) -> str | None:
        if key not in plan.lists | plan.pairs:
            return None
        path, rows = (plan.lists | plan.pairs)[key], listed_rows(plan, key)
        return first_other_row(folder, key, path, row_sums(plan, key), rows)

    check_same(folder, record, of_plan(plan, data_of(plan)), first_row)


def differs(folder: RunFolder, record: RunRecord, saved: Options, plan: Plan) -> bool:
    """Whether a run of ``plan`` is another than the folder's."""
    try:
        _check_same(folder, record, plan)
    except InputError:
        return True
    return saved != plan.options


def check_sampled(folder: RunFolder, images: Mapping[str, ImageSet]) -> None:
    """Of a run that goes on and whose data is known by some pictures alone: raise InputError where those
    are others now, and say that the rest is not known.
    """
    record = read_record(folder.path) or {}
    if not folder.snapshots() or "files" in record or not record:
        return
    for key, listed in images.items():
        known = record.get("data", {}).get(key, {}).get("fingerprint")
        if known not in (None, fingerprint(listed)):
            raise InputError(
                f"{folder.path}: was begun with other pictures in its {key} list than {listed.list_path}"
            )
    say_sampled(folder.path)


def say_sampled(path: Path) -> None:
    """One line about a run of an earlier version."""
    notice_once(
        f"{path}: begun by an earlier version, which knew its data by some pictures alone: others may differ"
    )
