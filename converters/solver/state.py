"""``.solverstate`` files: how far a solver got and its histories, in both of Caffe's formats.

The binary one is held against Caffe's recordings. There is none of the HDF5 one, which follows
SGDSolver::SnapshotSolverStateToHDF5 and hdf5.cpp.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.host.files import whole
from converters.weights.caffemodel import as_array, assign
from converters.weights.hdf5 import SIGNATURE
from prototxt.binary.solverstate import find_state, write_binary
from prototxt.binary.wire import Source, WireError
from prototxt.errors import InputError

_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


@dataclass
class SavedState:
    """A solver's state: ``learned_net`` is the path of its weights, as Caffe wrote it; ``history`` is in
    Caffe's order (AdaDelta and Adam: all of the first kind, then all of the second).
    """

    iteration: int
    learned_net: str
    current_step: int
    history: list[Tensor]


def read_state(path: Path | str) -> SavedState:
    """The state in a .solverstate or .solverstate.h5 file, told apart by what it holds.

    Raises InputError, in one line, for a file that is missing, is something else or is not whole.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not head:
        raise InputError(f"{path}: is empty")
    if head.startswith(SIGNATURE):
        return _read_hdf5(path)
    if not any(byte < 0x20 and byte not in b"\t\n\r\f" for byte in head):
        raise InputError(f"{path}: is text, and not a .solverstate")
    return _read_binary(path)


def _read_binary(path: Path) -> SavedState:
    try:
        with path.open("rb") as file:
            source = Source(file)
            stored = find_state(source)
            if stored.iteration is None:
                raise InputError(f"{path}: is no .solverstate: it names no iteration, as weights do not")
            history = []
            for index, blob in enumerate(stored.history):
                if problem := blob.problem():
                    raise InputError(f"{path}: history {index} {problem}")
                history.append(torch.empty(blob.shape))
                assign(history[-1], lambda out, blob=blob: blob.read_into(source, out))  # type: ignore[misc]
    except WireError as error:
        raise InputError(f"{path}: no whole .solverstate: {error}") from None
    return SavedState(stored.iteration, stored.learned_net, stored.current_step, history)


def _read_hdf5(path: Path) -> SavedState:
    with _opened(path) as file:
        group = file["history"]
        history = [_tensor(group[str(index)]) for index in range(len(group))]
        learned_net = _string(file["learned_net"]) if "learned_net" in file else ""
        return SavedState(_int(file["iter"]), learned_net, _int(file["current_step"]), history)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file; what h5py says of a broken one, or of one without these data sets, as InputError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if "iter" not in file or "history" not in file:
                raise InputError(f'{path}: is no .solverstate.h5: it has no "iter" or no "history"')
            yield file
    except InputError:
        raise
    except _BROKEN as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: no whole .solverstate.h5: {reason}") from None


def _int(dataset: Any) -> int:
    return int(np.asarray(dataset[()]).reshape(-1)[0])


def _string(dataset: Any) -> str:
    value = dataset[()]
    text = value if isinstance(value, bytes) else bytes(np.asarray(value).reshape(-1)[0])
    return text.split(b"\0")[0].decode("utf-8", "surrogateescape")


def _tensor(dataset: Any) -> Tensor:
    return torch.from_numpy(np.asarray(dataset[()], np.float32))


def write_state(path: Path | str, state: SavedState) -> None:
    """Write ``state`` whole or not at all, as HDF5 where the name ends in .h5 and else in binary."""
    path = Path(path)
    if path.suffix == ".h5":
        _write_hdf5(path, state)
        return
    shapes = [blob.shape for blob in state.history]
    with whole(path) as beside, beside.open("wb") as file:
        blobs = map(as_array, state.history)
        write_binary(file, state.iteration, state.learned_net, state.current_step, shapes, blobs)


def _write_hdf5(path: Path, state: SavedState) -> None:
    import h5py

    with whole(path) as beside, h5py.File(beside, "w") as file:
        file.create_dataset("iter", data=np.array([state.iteration], np.int32))
        _write_string(file, "learned_net", state.learned_net)
        file.create_dataset("current_step", data=np.array([state.current_step], np.int32))
        group = file.create_group("history")
        for index, blob in enumerate(state.history):
            group.create_dataset(str(index), data=as_array(blob))


def _write_string(file: Any, name: str, text: str) -> None:
    """A string with its final 0 inside: Caffe takes what it reads for a C string (hdf5_load_string)."""
    import h5py

    data = text.encode("utf-8", "surrogateescape") + b"\0"
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(data))
    kind.set_strpad(h5py.h5t.STR_NULLTERM)
    place = h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create(h5py.h5s.SCALAR))
    place.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array(data, f"S{len(data)}"), kind)
