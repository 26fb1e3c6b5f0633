"""Caffe's two files of a snapshot, which stand beside ours where the solver sets snapshot_format."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from converters import CaffeSolver
from converters.solver.names import snapshot_paths
from prototxt.caffe_pb2 import SolverParameter
from zoo.ours import keep_others
from zoo.runs.run_folder import CAFFE_SNAPSHOTS, RunFolder, read_record
from zoo.runs.run_json import RunRecord
from zoo.terminal.console import notice_once


def write(folder: RunFolder, record: RunRecord, solver: CaffeSolver) -> None:
    """Write both files, each whole or not at all; before that, say in run.json, whose content ``record`` is,
    that they are the run's own. Raises InputError where they cannot be written.
    """
    names = {str(path) for path in snapshot_paths(solver.message, folder.prefix, solver.iter)}
    if not names <= (known := set(record.get(CAFFE_SNAPSHOTS, ()))):
        record[CAFFE_SNAPSHOTS] = sorted(names | known)
        folder.write_record(record)
    solver.prefix = str(folder.path / folder.prefix)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        solver.snapshot()
    for warning in said:  # of what Caffe cannot read; without the path, which is another each time
        notice_once(str(warning.message).partition(": ")[2])


def keep_others_snapshots(folder: RunFolder, solver: SolverParameter, start: int) -> None:
    """Raise InputError where the run, going on from ``start`` updates, might write a snapshot in Caffe's
    format over a file that it did not write.
    """
    if not solver.HasField("snapshot_format"):
        return
    own = set((read_record(folder.path) or {}).get(CAFFE_SNAPSHOTS, ()))
    for iteration, path in _present(folder, solver):
        if min(start + 1, solver.max_iter) <= iteration <= solver.max_iter:
            name = str(Path(folder.prefix).with_name(path.name))
            keep_others(path, "run", lambda _, name=name: name in own)  # type: ignore[misc]


def _present(folder: RunFolder, solver: SolverParameter) -> Iterator[tuple[int, Path]]:
    """(iteration, path) of what lies where such files go."""
    names = [path.name for path in snapshot_paths(solver, str(folder.path / folder.prefix), 0)]
    patterns = [re.escape(name).replace("_iter_0", r"_iter_(\d+)") for name in names]
    place = folder.snapshot(0).parent
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        for pattern in patterns:
            if match := re.fullmatch(pattern, path.name):
                yield int(match[1]), path
