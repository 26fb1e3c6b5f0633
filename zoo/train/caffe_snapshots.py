"""Caffe's two files of a snapshot, which stand beside ours where the solver sets snapshot_format."""

import re
from collections.abc import Iterator
from pathlib import Path

from converters.solver.names import snapshot_paths
from prototxt.caffe_pb2 import SolverParameter
from zoo.ours import keep_others
from zoo.runs.run_folder import CAFFE_SNAPSHOTS, RunFolder, read_record
from zoo.runs.run_json import RunRecord


def claim(folder: RunFolder, record: RunRecord, solver: SolverParameter, iteration: int) -> None:
    """Note in run.json, whose content ``record`` is, that the files of a snapshot are the run's own, before
    they are written.
    """
    names = {str(path) for path in snapshot_paths(solver, folder.prefix, iteration)}
    known = set(record.get(CAFFE_SNAPSHOTS, ()))
    if not names <= known:
        record[CAFFE_SNAPSHOTS] = sorted(names | known)
        folder.write_record(record)


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
