"""Caffe's two files of a snapshot, which stand beside ours where the solver sets snapshot_format."""

import warnings
from collections.abc import Collection

from converters import CaffeSolver
from converters.solver.names import snapshot_paths
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from zoo.ours import keep_others
from zoo.runs.run_folder import CAFFE_SNAPSHOTS, RunFolder, read_record
from zoo.runs.run_json import RunRecord
from zoo.runs.snapshot_files import numbered
from zoo.terminal.console import notice, notice_once


def write_beside(folder: RunFolder, record: RunRecord, solver: CaffeSolver) -> None:
    """Write both files, each whole or not at all; before that, say in run.json, whose content ``record`` is,
    that they are the run's own. Where they cannot be written a line says why: the training stands without
    them.
    """
    solver.prefix = str(folder.snapshot(0)).removesuffix("_iter_0.safetensors")
    own = set(record.get(CAFFE_SNAPSHOTS, ()))
    names = {str(path) for path in snapshot_paths(solver.message, folder.prefix, solver.iter)}
    try:
        for name in names:
            _keep_others(folder, name, own)
        if not names <= own:
            record[CAFFE_SNAPSHOTS] = sorted(names | own)
            folder.write_record(record)
        _snapshot(solver)
    except InputError as error:
        notice(f"no snapshot in Caffe's format: {error}")


def _snapshot(solver: CaffeSolver) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solver.snapshot()
    for warning in caught:  # of what Caffe cannot read; without the path, which is another each time
        notice_once(str(warning.message).partition(": ")[2])


def keep_others_snapshots(folder: RunFolder, solver: SolverParameter, start: int) -> None:
    """Raise InputError where the run, going on from ``start`` updates, might write a snapshot in Caffe's
    format over a file that it did not write.
    """
    if not solver.HasField("snapshot_format"):
        return
    own = set((read_record(folder.path) or {}).get(CAFFE_SNAPSHOTS, ()))
    for iteration in sorted(_present(folder, solver)):
        if min(start + 1, solver.max_iter) <= iteration <= solver.max_iter:
            for path in snapshot_paths(solver, folder.prefix, iteration):
                _keep_others(folder, str(path), own)


def _keep_others(folder: RunFolder, name: str, own: Collection[str]) -> None:
    keep_others(folder.path / name, "run", lambda _: name in own)


def _present(folder: RunFolder, solver: SolverParameter) -> set[int]:
    """The iterations of which a file lies where such snapshots go."""
    return {n for path in snapshot_paths(solver, folder.prefix, 0) for n in numbered(folder.path / path)}
